"""Vehicles that plan from messages: the channel by hand, failures, whole flights, and that one seed is one flight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from espalier.core.errors import ConfigError
from espalier.core.run.run import Run
from espalier.robots.swarm.fleet.comms import Channel, Inbox
from espalier.robots.swarm.fleet.config import CommsConfig, FailureConfig, FlightConfig, PlannerConfig
from espalier.robots.swarm.fleet.failures import Fate, befallen, fates, told
from espalier.robots.swarm.fleet.figures import figures
from espalier.robots.swarm.fleet.job import fly
from espalier.robots.swarm.fleet.message import Message, encode
from espalier.robots.swarm.fleet.metrics import measure
from espalier.robots.swarm.fleet.roster import Allotment
from espalier.robots.swarm.fleet.simulate import Flight, simulate
from espalier.robots.swarm.register.config import RegisterConfig
from espalier.robots.swarm.traj.neighbours import sampled
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.config import ForestConfig

NUMBERED = Allotment(0, 0, np.arange(9))


def message(sender: int, sent_s: float) -> Message:
    return Message(sender, sent_s, Trajectory.hover([float(sender), 0.0, 1.0], sent_s), sender, NUMBERED)


def test_messages_take_their_time_and_the_newest_counts() -> None:
    channel = Channel(3, CommsConfig(delay_s=0.1), np.random.default_rng(0))
    here = np.zeros((3, 3))
    channel.send(message(0, 1.0), 1.0, here)
    assert channel.inbox(1, 1.05).senders.tolist() == []
    assert channel.inbox(1, 1.1).senders.tolist() == [0]
    assert channel.inbox(0, 1.1).senders.tolist() == [], "nobody hears itself"
    channel.send(message(0, 2.0), 2.0, here)
    channel.send(message(0, 1.5), 2.0, here)
    assert channel.inbox(2, 3.0).sent_s.tolist() == [2.0]
    assert (channel.sent, channel.delivered) == (3, 6)


def test_an_inbox_tells_the_same_paths_as_the_messages() -> None:
    rng = np.random.default_rng(0)
    channel, told_ = Channel(9, CommsConfig(delay_s=0.0), rng), []
    for k in range(1, 9):
        curve = Trajectory(rng.normal(size=(k % 4 + 1, 6, 3)), np.full(k % 4 + 1, 0.5), 0.1 * k)
        told_.append(Message(k, 0.1 * k, curve, k, NUMBERED))
        channel.send(told_[-1], 0.1 * k, np.zeros((9, 3)))
    times = np.linspace(0.0, 6.0, 13)
    for inbox in (channel.inbox(0, 2.0), Inbox.of_messages(told_)):
        assert inbox.senders.tolist() == list(range(1, 9))
        found = sampled(inbox.paths, times, np.full(8, 4.0))
        right = [[one.trajectory.position(min(at, 4.0)) for one in told_] for at in times]
        np.testing.assert_allclose(found, right, atol=1e-9)


def test_an_inbox_has_the_newest_message_of_each() -> None:
    inbox = Inbox.of_messages([message(1, 2.0), message(2, 0.5), message(1, 1.0), message(2, 0.7)])
    assert inbox.senders.tolist() == [2, 1]
    assert inbox.sent_s.tolist() == [0.7, 2.0]
    assert inbox.paths.starts.tolist() == [0.7, 2.0]


def test_what_was_said_later_counts_though_it_came_earlier() -> None:
    channel = Channel(2, CommsConfig(delay_s=0.0, jitter_s=5.0), np.random.default_rng(0))
    known, overtaken = -1.0, 0
    for tick in range(200):
        now_s = 0.1 * tick
        channel.send(message(0, now_s), now_s, np.zeros((2, 3)))
        inbox = channel.inbox(1, now_s)
        if len(inbox.senders):
            assert inbox.sent_s[0] >= known
            overtaken += inbox.sent_s[0] == known
            known = float(inbox.sent_s[0])
            assert inbox.paths.starts[0] == pytest.approx(known), "the path is that of the message"
    assert overtaken > 20


def test_what_is_told_again_is_heard_by_those_who_missed_it_and_is_no_news_to_others() -> None:
    rng = np.random.default_rng(0)
    channel = Channel(200, CommsConfig(delay_s=0.0, loss=0.5), rng)
    here = np.zeros((200, 3))
    channel.repeat(0, 0.0, here)
    assert channel.sent == 0, "nothing was said yet"
    channel.send(message(0, 0.0), 0.0, here)
    first = {k for k in range(1, 200) if len(channel.news(k, 0.0).senders)}
    channel.repeat(0, 0.1, here)
    second = {k for k in range(1, 200) if len(channel.news(k, 0.1).senders)}
    assert 60 < len(first) < 140
    assert not first & second
    assert len(first | second) > 130
    told_again = [channel.inbox(k, 0.1).sent_s for k in first]
    assert {float(one[0]) for one in told_again} == {0.0, 0.1}, "half of them heard it again, and know that it holds"
    channel.send(message(0, 0.2), 0.2, here)
    assert all(len(channel.news(k, 0.2).senders) <= 1 for k in range(200))
    assert channel.bytes == channel.sent * len(encode(message(0, 0.0))) == 3 * 108


def test_a_long_flight_keeps_no_more_messages_than_may_be_read() -> None:
    """Some are late and some are lost: what is read is what was said, and rows are used again."""
    rng = np.random.default_rng(0)
    channel = Channel(5, CommsConfig(delay_s=0.2, jitter_s=0.5, loss=0.4), rng)
    for tick in range(3000):
        now_s, sender = 0.05 * tick, int(rng.integers(5))
        pieces = int(rng.integers(1, 4))
        there = Trajectory(np.full((pieces, 6, 3), now_s), np.ones(pieces), now_s)
        channel.send(Message(sender, now_s, there, sender, NUMBERED), now_s, np.zeros((5, 3)))
        for inbox in (channel.inbox(tick % 5, now_s), channel.news((tick + 1) % 5, now_s)):
            assert inbox.paths.starts == pytest.approx(inbox.sent_s), "nobody repeats, so a path begins when it is told"
            assert inbox.paths.coefficients[:, 0, 0, 0] == pytest.approx(inbox.sent_s)
    assert len(channel._store.said) <= 128


def test_news_is_news_though_it_stands_where_something_that_was_read_stood() -> None:
    """Rows of messages are used again; a receiver that reads now and then is told whenever there was something new."""
    rng, channel, fresh = (
        np.random.default_rng(0),
        Channel(2, CommsConfig(delay_s=0.0), np.random.default_rng(0)),
        False,
    )
    for tick in range(400):
        now_s = 0.1 * tick
        if rng.random() < 0.6:
            channel.send(message(0, now_s), now_s, np.zeros((2, 3)))
            fresh = True
        if rng.random() < 0.3:
            assert len(channel.news(1, now_s).senders) == fresh
            fresh = False
        channel.inbox(0, now_s)


def test_messages_are_lost_and_do_not_reach_far() -> None:
    rng = np.random.default_rng(0)
    channel = Channel(400, CommsConfig(delay_s=0.0, loss=0.3), rng)
    channel.send(message(0, 0.0), 0.0, np.zeros((400, 3)))
    got = sum(len(channel.inbox(one, 1.0).senders) for one in range(400))
    assert 0.6 < got / 399 < 0.8
    near = Channel(3, CommsConfig(delay_s=0.0, range_m=5.0), rng)
    near.send(message(0, 0.0), 0.0, np.array([[0.0, 0, 0], [4, 0, 0], [6, 0, 0]]))
    assert [len(near.inbox(one, 1.0).senders) for one in range(3)] == [0, 1, 0]


def test_what_befalls_vehicles() -> None:
    found = fates(20, [FailureConfig(share=0.1), FailureConfig(kind="lie", share=0.2)], np.random.default_rng(0))
    assert sorted(one.kind for one in found.values()) == ["freeze"] * 2 + ["lie"] * 4
    flying = Trajectory(np.array([[[0.0, 0, 1], [2, 0, 0], [0] * 3, [0] * 3, [0] * 3, [0] * 3]]), np.array([5.0]))
    stopped = befallen(Fate("freeze", 0.0, np.array([0.0, 1, 0])), flying, 1.0, 4.0)
    assert stopped.position(1.0) == pytest.approx([2.0, 0.0, 1.0])
    assert np.linalg.norm(stopped.velocity(stopped.end_s)) == pytest.approx(0.0, abs=1e-6)
    drifting = befallen(Fate("drift", 0.0, np.array([0.0, 1, 0])), flying, 1.0, 4.0)
    assert drifting.velocity(9.0) == pytest.approx([0.0, 0.4, 0.0])
    assert drifting.velocity(1.0) == pytest.approx([2.0, 0.0, 0.0]), "no velocity leaps"
    accel = np.linalg.norm(drifting.acceleration(np.linspace(1.0, 9.0, 400)), axis=1)
    assert accel.max() <= 4.0
    lie = told(Fate("lie", 0.0, np.array([0.0, 1, 0])), flying, 1.0)
    assert lie.position(2.0) == pytest.approx([2.0, 1.0, 1.0])
    assert told(Fate("freeze", 0.0, np.zeros(3)), flying, 1.0) is flying


def flight(**changes: object) -> Flight:
    settings = {"n": 7, "shape": "hexagon", "goal": (0.0, 0.0, 1.5), "seconds": 14.0}
    return simulate(FlightConfig.of(**{**settings, **changes}), 0)


def test_seven_vehicles_arrive_in_formation() -> None:
    found = flight(seconds=20.0)
    measured = figures(found)
    assert measured["travelled_share"] == pytest.approx(1.0, abs=0.02)
    assert measured["error_percent"] < 1.0
    seen = found.recording
    assert seen.positions[-1] == pytest.approx(seen.formations[0] + np.array([0.0, 0.0, 1.5]), abs=0.02)
    assert measured["touches"] == 0
    series = measure(seen)
    assert series.shape.error[0] == pytest.approx(0.0, abs=1e-9)
    assert series.safety.separation[0] == pytest.approx(2.0, abs=1e-3)


def test_before_anybody_flies_all_have_heard_of_all() -> None:
    """Else the first to plan fly into those next to them: 1.2 m apart, 4 m/s."""
    fast = {"safe_s": 2.5, "trajectory": {"limits": {"speed_mps": 4}, "front_end": {"cruise_mps": 3}}}
    settings = {"n": 16, "shape": "grid", "spacing_m": 1.2, "planner": fast}
    begun = flight(**settings, seconds=0.5, comms=CommsConfig(loss=0.5))
    assert np.ptp(begun.recording.positions, axis=0).max() == 0.0
    heard = [len(begun.channel.inbox(k, 0.6).senders) for k in range(16)]
    assert np.mean(heard) > 14.0
    assert figures(flight(**settings, seconds=4.0))["touches"] == 0


def test_who_is_gone_from_the_beginning_never_speaks() -> None:
    found = flight(seconds=2.0, failures=(FailureConfig(kind="crash", vehicles=(2,), at_s=0.0),))
    assert sorted(found.channel.inbox(0, 9.0).senders.tolist()) == [1, 3, 4, 5, 6]


@pytest.mark.parametrize("method", ["registration", "graph", "sparse"])
def test_one_seed_is_one_flight(method: str) -> None:
    first, second = (
        flight(scatter_m=0.3, seconds=5.0, planner=PlannerConfig(method=method, edge_share=0.7)) for _ in range(2)
    )
    one, two = first.recording, second.recording
    np.testing.assert_array_equal(one.positions, two.positions)
    assert np.abs(one.positions[0, :, :2] - (one.formations[0] + np.array([-22.5, 0, 1.5]))[:, :2]).max() <= 0.3


def test_the_dead_drag_least_squares_and_not_the_registration() -> None:
    """Twenty vehicles, three of which freeze."""
    fails = {"n": 20, "shape": "grid", "failures": (FailureConfig(share=0.15, at_s=3.0),), "seconds": 18.0}
    by = {
        method: figures(flight(**fails, planner=PlannerConfig(register_by=RegisterConfig(method=method))))
        for method in ("ransac", "least_squares")
    }
    assert by["ransac"]["travelled_share"] > 0.97
    assert by["ransac"]["flag_recall"] > 0.95, "from the beginning on"
    assert by["ransac"]["flag_precision"] > 0.7, "who flies around the dead is out for a moment"
    assert by["least_squares"]["travelled_share"] < 0.75
    assert by["ransac"]["touches"] == by["least_squares"]["touches"] == 0


def test_messages_reach_as_far_as_vehicles_are_apart(tmp_path: Path) -> None:
    """Two groups that fly 12 m from each other hear each other only where messages reach so far."""
    slots = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [12, 0, 0], [14, 0, 0], [12, 2, 0]])
    np.save(tmp_path / "slots.npy", slots)
    settings = {"n": 6, "shape": {"kind": "points", "file": tmp_path / "slots.npy"}, "goal": (-18.0, 0.0, 1.5)}
    for range_m, heard in ((5.0, [{1, 2}, {0, 2}, {0, 1}, {4, 5}, {3, 5}, {3, 4}]), (20.0, [set(range(6))] * 6)):
        found = flight(**settings, seconds=3.0, comms=CommsConfig(range_m=range_m))
        for k in range(6):
            assert set(found.channel.inbox(k, 9.0).senders.tolist()) == heard[k] - {k}


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_the_dead_do_not_hold_a_small_swarm(n: int) -> None:
    """Of up to four nobody can tell who is dead, so they go on alone; of five or six one may be out."""
    fails = (FailureConfig(vehicles=(n - 1,), at_s=4.0),)
    found = flight(n=n, goal=(5.0, 0.0, 1.5), failures=fails, seconds=26.0)
    assert figures(found)["travelled_share"] > 0.95
    assert figures(found)["touches"] == 0
    judges = [one.registration for one in found.agents[:-1] if one.registration is not None]
    assert len(judges) == n - 1
    assert n < 5 or not any(one.inlier[n - 1] for one in judges)


@pytest.mark.parametrize("n", [3, 4, 5])
def test_a_small_swarm_keeps_its_formation(n: int) -> None:
    """Where vehicles that seek their goals alone do not."""
    settings = {"n": n, "scatter_m": 1.0, "goal": (-5.0, 0.0, 1.5), "seconds": 9.0}
    kept, alone = flight(**settings), flight(**settings, planner=PlannerConfig(method="goal"))
    assert figures(kept)["error_percent"] < 0.6 * figures(alone)["error_percent"]


@pytest.mark.parametrize("kind", ["drift", "crash", "lie", "late"])
def test_whatever_befalls_one_the_others_arrive(kind: str) -> None:
    """Twelve vehicles, one struck at 3 s: 95% of the way, no touch, no leap, and it is told who cannot steer."""
    found = flight(n=12, shape="grid", failures=(FailureConfig(kind=kind, share=0.1, at_s=3.0),), seconds=20.0)
    measured = figures(found)
    assert measured["travelled_share"] > 0.95
    assert measured["touches"] == 0
    seen, recording = found.recording.positions, found.recording
    assert np.isnan(seen[-1]).any() == (kind == "crash")
    (whom,) = found.fates
    assert (recording.struck[:, whom] == ((recording.times < 3.0) == (kind == "late"))).all()
    steers = recording.struck & ~recording.adrift
    assert not recording.adrift[~recording.struck].any()
    assert steers.sum() < 11 or (kind == "lie" and not recording.adrift.any()), "until their next turn; liars always do"
    speed = np.linalg.norm(np.diff(seen, axis=0), axis=2) / 0.05
    assert np.nanmax(speed) < 2.2, "nobody leaps"
    assert np.nanmax(np.linalg.norm(np.diff(seen, 2, axis=0), axis=2)) / 0.05**2 < 5.0


def test_when_many_are_lost_the_others_close_ranks() -> None:
    """Three of twenty freeze: the seventeen others take the seventeen slots in the middle, and all keep them."""
    found = flight(
        n=20, shape="grid", failures=(FailureConfig(share=0.15, at_s=3.0),), seconds=30.0, goal=(7.5, 0, 1.5)
    )
    seen, healthy = found.recording, found.recording.healthy
    away = np.linalg.norm(seen.formations[0] - seen.formations[0].mean(0), axis=1)
    held = seen.slot[-1, healthy]
    assert len(set(held.tolist())) == 17
    assert away[held].max() <= np.sort(away)[16] + 1e-9
    assert {one.roster.allotment.round for one in found.agents if healthy[one.me]} == {1}
    measured = figures(found)
    assert measured["filled_share"] == measured["fillable_share"] == 0.85
    assert measured["success"] == 0.0, "three of twenty slots are empty"
    assert figures(replace(found, success_share=0.85))["success"] == 1.0, "but for that"
    assert measured["error_percent_end"] < 0.1
    kept = flight(n=20, shape="grid", failures=(FailureConfig(share=0.1, at_s=3.0),), seconds=12.0)
    assert (kept.recording.slot == np.arange(20)).all(), "a tenth is not more than a tenth"


@pytest.mark.slow
def test_a_word_that_is_written_by_those_who_are_left_is_whole() -> None:
    """Three of sixteen crash while they stand in a grid; the word comes later, and no two neighbours in it are free."""
    act = {"at_s": 8.0, "shape": "text:VI", "goal": (-10.0, 0.0, 8.0)}
    failures = ({"kind": "crash", "vehicles": (0, 1, 2), "at_s": 1.0},)
    found = simulate(FlightConfig.of(n=16, goal=(-15.0, 0.0, 1.5), acts=(act,), failures=failures, seconds=22.0), 0)
    seen, healthy = found.recording, found.recording.healthy
    held, slots = seen.slot[-1, healthy], seen.formations[1]
    assert len(set(held.tolist())) == 13
    free = np.setdiff1d(np.arange(16), held)
    apart = cdist(slots, slots) + np.diag(np.full(16, np.inf))
    assert (apart[np.ix_(free, held)].min(1) <= 1.05 * apart[free].min(1)).all()
    measured = figures(found)
    assert np.isfinite(measured["arrival_s"])
    assert measured["filled_share"] == measured["fillable_share"] == 13 / 16
    assert measured["success"] == 0.0


def test_who_can_fly_again_takes_a_place_again() -> None:
    """With its slot kept for one, and with slots given away for three."""
    for share in (0.05, 0.15):
        failure = FailureConfig(share=share, at_s=3.0, until_s=10.0)
        found = flight(n=20, shape="grid", failures=(failure,), seconds=30.0, goal=(0.0, 0.0, 1.5))
        seen = found.recording
        assert sorted(seen.slot[-1].tolist()) == list(range(20))
        places = seen.goals[0] + seen.formations[0, seen.slot[-1]]
        assert np.linalg.norm(seen.positions[-1] - places, axis=1).max() < 0.1
        assert not seen.struck[-1].any()
        assert figures(found)["touches"] == 0


def test_under_the_policy_wait_all_stay_for_one_and_not_for_ever() -> None:
    failure = {"n": 20, "shape": "grid", "goal": (7.5, 0.0, 1.5), "seconds": 33.0}
    by = {}
    for stuck, until_s in (("go_on", None), ("wait", 10.0), ("wait", None)):
        policy = {"stuck": stuck, "wait_s": 9.0}
        fails = (FailureConfig(share=0.05, at_s=3.0, until_s=until_s),)
        found = flight(**failure, failures=fails, planner=PlannerConfig.of(policy=policy)).recording
        x = found.positions[:, found.healthy, 0].mean(1)
        arrives = found.times[int((x > 5.0).argmax())]
        by[stuck, until_s] = (arrives, float(np.diff(x)[int(6.0 / 0.05) : int(arrives / 0.05)].min() / 0.05))
        assert measure(found).safety.separation.min() > 0.3
    assert by["go_on", None][1] > 1.3, "m/s, at the slowest"
    assert by["wait", 10.0][1] < 0.2
    assert by["go_on", None][0] + 1.5 < by["wait", 10.0][0] < by["wait", None][0]
    assert 7.0 < by["wait", None][0] - by["go_on", None][0] < 13.0


def test_formations_follow_one_another() -> None:
    """From a grid to letters to a ring: each is there at the end of its time, and vehicles keep their numbers."""
    text = {"kind": "text", "words": "HI"}
    acts = [
        {"at_s": 1.0, "shape": text, "goal": (0.0, 0.0, 8.0), "spacing_m": 1.5},
        {"at_s": 16.0, "shape": "ring", "goal": (2.0, 0.0, 8.0)},
    ]
    found = flight(n=20, shape="grid", start=(0.0, 0.0, 1.0), goal=(0.0, 0.0, 1.0), acts=acts, seconds=32.0)
    seen, measured = found.recording, figures(found)
    assert measured["error_percent_acts"] < 0.5
    assert measured["touches"] == 0
    assert seen.act.tolist() == [0] * 20 + [1] * 300 + [2] * 321
    for act, step in ((1, 319), (2, 640)):
        places = seen.goals[act] + seen.formations[act]
        assert np.linalg.norm(seen.positions[step] - places, axis=1).max() < 0.1
    ways = [np.linalg.norm(seen.formations[1] - seen.formations[0], axis=1)]
    assert (ways[0] ** 2).sum() <= (np.linalg.norm(seen.formations[1][::-1] - seen.formations[0], axis=1) ** 2).sum()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {
                "acts": [
                    {"at_s": 5, "shape": "ring", "goal": [0, 0, 1]},
                    {"at_s": 5, "shape": "ring", "goal": [0, 0, 1]},
                ]
            },
            "acts",
        ),
        ({"failures": [{"kind": "crash", "until_s": 9}]}, "until_s"),
        ({"failures": [{"at_s": 5, "until_s": 5}]}, "until_s"),
        ({"failures": [{"vehicles": [1], "share": 0.2}]}, "share"),
        ({"planner": {"safe_s": 1.0}}, "safe_s"),
        ({"planner": {"horizon_s": 1.4}}, "horizon_s: 1.4 is less than safe_s"),
        ({"planner": {"near_m": 1.5}}, "near_m"),
        ({"planner": {"near_m": 2.0, "samples": 10}}, "near_m"),
        ({"planner": {"trajectory": {"limits": {"speed_mps": 4}}}}, "safe_s"),
        ({"shape": {"kind": "text", "words": ""}}, "words"),
        ({"shape": "hexagonal"}, "shape"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        FlightConfig.of(**settings)


@pytest.mark.parametrize("method", ["goal", "leader", "rigid", "graph", "sparse"])
def test_other_methods_fly_too(method: str) -> None:
    measured = figures(flight(planner=PlannerConfig(method=method), seconds=18.0))
    assert measured["travelled_share"] > 0.9
    assert measured["touches"] == 0


@pytest.mark.parametrize("method", ["graph", "sparse"])
def test_graphs_bring_a_scattered_grid_into_shape(method: str) -> None:
    """Where vehicles that only seek their goals stay out of it."""
    settings = {"n": 20, "shape": "grid", "scatter_m": 0.5, "seconds": 18.0}
    alone = figures(flight(**settings, planner=PlannerConfig(method="goal")))
    found = flight(**settings, planner=PlannerConfig(method=method))
    measured, seen = figures(found), found.recording
    assert seen.positions[-1] == pytest.approx(seen.formations[0] + np.array([0.0, 0.0, 1.5]), abs=0.05)
    assert measured["error_percent_way"] < 0.5 * alone["error_percent_way"]
    assert measured["touches"] == 0


def test_all_share_one_sparse_graph_of_those_they_heard() -> None:
    found = flight(n=12, shape="grid", planner=PlannerConfig(method="sparse", edge_share=0.5), seconds=2.0)
    edges = found.agents[0].site.edges
    assert edges is not None
    assert edges.sum() == 66
    for agent in found.agents:
        assert agent.site.edges is edges
        assert agent._wanted is not None
        (_, heard), desired = agent._wanted
        assert 8 <= len(heard) <= 11
        np.testing.assert_array_equal(desired.linked, edges[agent.me, heard])
        assert edges[heard[desired.first], heard[desired.second]].all()
        assert len(desired.first) == edges[np.ix_(heard, heard)].sum() / 2
    complete = flight(planner=PlannerConfig(method="graph"), seconds=1.0).agents[0]
    assert complete.site.edges is None


@pytest.mark.slow
def test_delay_and_loss_in_a_forest_hurt_nobody() -> None:
    forest = ForestConfig.sized(12.0, 14.0, "sparse", approach_m=24.0)
    comms = CommsConfig(delay_s=0.15, loss=0.3)
    measured = figures(flight(n=20, shape="grid", world=forest, comms=comms, goal=(22.5, 0.0, 1.5), seconds=32.0))
    assert measured["touches"] == 0
    assert measured["travelled_share"] > 0.95


def test_the_job_leaves_a_film_and_a_report(tmp_path: Path) -> None:
    config = FlightConfig.of(n=7, shape="hexagon", seconds=3.0, failures=[{"share": 0.15, "at_s": 1.0}])
    with Run.create(tmp_path, job="robots.flight", name="flight") as run:
        figures_ = fly(config, run)
        run.finish(figures_)
    assert figures_["touches"] == 0.0
    assert {file.name for file in (run.path / "artefacts").iterdir()} == {"flight.gif", "flight.npz"}
    assert "data:image/gif;base64," in (run.path / "report.html").read_text()
