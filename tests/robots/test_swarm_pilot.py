"""One vehicle's way to safety: around those that stand, and what it flies where a plan is not safe."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from espalier.robots.swarm.api import slots, vehicle
from espalier.robots.swarm.fleet.comms import Inbox
from espalier.robots.swarm.fleet.config import PlannerConfig
from espalier.robots.swarm.fleet.message import Message
from espalier.robots.swarm.fleet.pilot import Pilot, Traffic, Wish
from espalier.robots.swarm.fleet.roster import Allotment
from espalier.robots.swarm.traj.front_end import Way, find_way
from espalier.robots.swarm.traj.neighbours import pack, sampled
from espalier.robots.swarm.traj.optimise import Optimiser, Plan, Problem
from espalier.robots.swarm.traj.penalties import Places
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.config import GapConfig, OpenConfig
from espalier.robots.swarm.world.make import make_world

CONFIG = PlannerConfig()
FIELD = make_world(OpenConfig(length_m=20, width_m=20)).field
HERE, GOAL = np.array([0.0, 0, 1.5]), np.array([4.0, 0, 1.5])


def moving(place: tuple[float, ...], velocity: tuple[float, ...]) -> Trajectory:
    piece = np.zeros((1, 6, 3))
    piece[0, :2] = place, velocity
    return Trajectory(piece, np.array([9.0]))


@dataclass
class Fixed:
    """An optimiser that always finds the same."""

    path: Trajectory
    seen: list[Problem] = field(default_factory=list)

    def plan(self, problem: Problem) -> Plan:
        self.seen.append(problem)
        return Plan(self.path, 0.0, 1, 1, True)


def traffic(*paths: Trajectory) -> Traffic:
    """Of others that have said so just now."""
    told = [Message(k + 1, 0.0, path, k + 1, Allotment(0, 0, np.arange(9))) for k, path in enumerate(paths)]
    return pilot().traffic(0.0, Inbox.of_messages(told))


def pilot(path: Trajectory | None = None) -> Pilot:
    return Pilot(CONFIG, Optimiser(CONFIG.trajectory) if path is None else Fixed(path), FIELD)  # type: ignore[arg-type]


def test_who_stands_is_gone_around_and_who_moves_is_not() -> None:
    near = pack([Trajectory.hover([2.0, 0, 1.5]), moving((1.0, 5.0, 1.5), (0.0, -1.0, 0.0)), Trajectory.hover(HERE)])
    balls = pilot()._standing(0.0, Trajectory.hover(HERE), near)
    assert balls.tolist() == [[2.0, 0.0, 1.5, 0.5]], "and a ball never holds the vehicle itself"
    close = pack([Trajectory.hover([0.5, 0, 1.5])])
    assert pilot()._standing(0.0, Trajectory.hover(HERE), close)[0, 3] == pytest.approx(0.3)


def test_one_that_stands_in_the_way_is_passed() -> None:
    """Two slots in a row, the first taken: the vehicle that wants the second goes around, and arrives."""
    near, flown, one = traffic(Trajectory.hover([2.0, 0, 1.5])), Trajectory.hover(HERE), pilot()
    for now_s in np.arange(0.0, 8.0, 0.5).tolist():
        flown = one.fly(now_s, flown, Wish(GOAL, None), near)
        ahead = flown.position(np.linspace(now_s, now_s + 0.5, 20))
        assert np.linalg.norm(ahead - [2.0, 0, 1.5], axis=1).min() >= 0.5
    assert flown.position(8.0) == pytest.approx(GOAL, abs=0.05)
    assert one.brakes == 0


def test_a_plan_that_is_safe_is_flown_and_else_what_was_and_else_a_stop() -> None:
    ahead, away = moving((0, 0, 1.5), (1.0, 0, 0)), moving((0, 0, 1.5), (-1.0, 0, 0))
    wall, wish = traffic(Trajectory.hover([1.0, 0, 1.5])), Wish(GOAL, None)
    safe = pilot(away)
    assert safe.fly(0.0, ahead, wish, wall) is away
    assert (safe.dodges, safe.brakes) == (0, 0)
    before = pilot(ahead)
    assert before.fly(0.0, away, wish, wall) is away
    assert (before.dodges, before.brakes) == (1, 0)
    stops = pilot(ahead)
    found = stops.fly(0.0, ahead, wish, wall)
    assert (stops.dodges, stops.brakes) == (1, 1)
    assert found.velocity(found.end_s) == pytest.approx([0, 0, 0], abs=1e-6)
    assert found.position(9.0)[0] < 0.5


def test_where_nothing_is_safe_what_comes_least_near_is_flown() -> None:
    """At 2 m/s a stop takes 0.75 m, and another hovers 0.9 m ahead: better to pass 0.3 m beside it than to stop there;
    but a stop is better than to go on."""
    on, other = moving((0, 0, 1.5), (2.0, 0, 0)), traffic(Trajectory.hover([0.9, 0, 1.5]))
    aside = moving((0, 0, 1.5), (2.0, 0.8, 0))
    for planned, flown in ((aside, aside), (moving((0, 0, 1.5), (2.0, 0.1, 0)), None)):
        one = pilot(planned)
        found = one.fly(0.0, on, Wish(GOAL, None), other)
        assert (one.dodges, one.brakes) == (1, 1)
        assert found is flown or (flown is None and np.linalg.norm(found.velocity(9.0)) < 1e-6)
    low = moving((0, 0, 1.0), (1.2, 0, -1.2))
    found = pilot(low).fly(
        0.0, moving((0, 0, 1), (2.0, 0, 0)), Wish(GOAL, None), traffic(Trajectory.hover([1.2, 0, 1]))
    )
    assert found.position(9.0)[2] == pytest.approx(1.0), "a stop that is too near, rather than into the ground"
    crosses = traffic(moving((0.7, 1.0, 1.5), (0, -2.0, 0)))
    assert pilot(moving((0, 0, 1.5), (1.0, 0, 0))).fly(0.0, on, Wish(GOAL, None), crosses) is on, "first, and fast"


def test_a_path_that_is_flown_is_not_left_for_a_doubt() -> None:
    """Another passes 0.55 m beside; it was heard of 1 s ago, so 0.6 m are wanted of a plan."""
    said = Message(1, -1.0, Trajectory.hover([2.0, 0.55, 1.5]), 1, Allotment(0, 0, np.arange(9)))
    seen = pilot().traffic(0.0, Inbox.of_messages([said]))
    flown, plan = moving((0, 0, 1.5), (1.5, 0, 0)), moving((0, 0, 1.5), (1.5, 0.001, 0))
    one = pilot(plan)
    assert one.fly(0.0, flown, Wish(GOAL, None), seen) is flown
    assert (one.dodges, one.brakes) == (1, 0)
    bold = Pilot(PlannerConfig(doubt_mps=0.0), Fixed(plan), FIELD)  # type: ignore[arg-type]
    assert bold.fly(0.0, flown, Wish(GOAL, None), seen) is plan


def test_of_whom_nothing_was_heard_for_long_is_looked_at_for_longer() -> None:
    """1.5 s are looked at, and the second for which nothing was heard; but never beyond the horizon."""
    for age_s, ahead_m, safe in (
        (0.0, 2.2, True),
        (1.0, 2.2, False),
        (1.0, 3.2, True),
        (9.0, 4.2, False),
        (9.0, 4.8, True),
    ):
        said = Message(1, -age_s, Trajectory.hover([ahead_m, 0, 1.5]), 1, Allotment(0, 0, np.arange(9)))
        one = Pilot(PlannerConfig(gone_s=None), Optimiser(CONFIG.trajectory), FIELD)
        seen = one.traffic(0.0, Inbox.of_messages([said]))
        assert one.check(0.0, moving((0, 0, 1.5), (1.0, 0, 0)), seen, 1.5, 0.0).safe == safe


def test_a_search_that_found_no_way_however_far_it_went_is_not_repeated_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before a wall without an opening it goes far again after 4 s; others in the way do not count as a wall."""
    wall = make_world(GapConfig(gap_m=0.4, width_m=20.0, height_m=9.0)).field
    one, wide = Pilot(CONFIG, Fixed(Trajectory.hover(HERE)), wall), []  # type: ignore[arg-type]

    def watched(*args: Any, widen: bool) -> Way:
        wide.append(widen)
        return find_way(*args, widen=widen)

    monkeypatch.setattr("espalier.robots.swarm.fleet.pilot.find_way", watched)
    for now_s in (0.0, 0.5, 3.9, 4.0):
        one.fly(now_s, Trajectory.hover([-5.0, 3.0, 1.5]), Wish(np.array([4.0, 3.0, 1.5]), None), traffic())
    assert wide == [True, False, False, True]
    full = Pilot(CONFIG, Fixed(Trajectory.hover(HERE)), FIELD)  # type: ignore[arg-type]
    full.fly(0.0, Trajectory.hover(HERE), Wish(GOAL, None), traffic(Trajectory.hover(GOAL)))
    assert full._shut_until_s < 0.0, "where somebody stands at the goal, the world is not shut"


def test_who_is_near_a_plan_is_kept_clear_of_wherever_it_leads() -> None:
    """Nobody is within 4 m of what it flies; a plan that leads to somebody 6 m away is not flown, though fast."""
    quick = PlannerConfig.of(near_m=4.0, safe_s=4.0, trajectory={"limits": {"speed_mps": 3.0}})
    leads, other = moving((0, 0, 1.5), (2.5, 0, 0)), Trajectory.hover([6.0, 0, 1.5])
    one = Pilot(quick, Fixed(leads), FIELD)  # type: ignore[arg-type]
    assert len(one.near(0.0, Trajectory.hover(HERE), traffic(other)).ages_s) == 0
    stays = one.fly(0.0, Trajectory.hover(HERE), Wish(GOAL, None), traffic(other))
    assert stays.position(9.0) == pytest.approx(HERE)
    assert one.fly(0.0, Trajectory.hover(HERE), Wish(GOAL, None), traffic()) is leads


def test_the_silent_hover_and_then_are_gone() -> None:
    """It flew past 1 m/s fast, and was heard last at 0 s: until 3 s it flies on, until 6 s it hovers there."""
    said = Message(1, 0.0, moving((0, 0, 1.5), (1.0, 0, 0)), 1, Allotment(0, 0, np.arange(9)))
    inbox, at = Inbox.of_messages([said]), Trajectory.hover([3.0, 0.3, 1.5])
    for now_s, x in ((2.0, 2.0), (3.0, 3.0), (4.0, 3.0), (6.0, 3.0)):
        seen = pilot().traffic(now_s, inbox)
        assert seen.places[0, 0, 0] == pytest.approx(x)
        near = pilot().near(now_s, at, seen)
        (there,) = sampled(near.paths, np.array([now_s, now_s + 1.0]), np.array([np.inf]))[1]
        assert near.ages_s.tolist() == [now_s]
        assert there == pytest.approx([3.0, 0, 1.5] if now_s > 3.0 else [x + 1.0, 0, 1.5])
    assert len(pilot().traffic(6.1, inbox).inbox.senders) == 0
    never = Pilot(PlannerConfig(gone_s=None), Optimiser(CONFIG.trajectory), FIELD)
    assert never.traffic(99.0, inbox).places[0, 0, 0] == pytest.approx(3.0)


def test_a_plan_goes_on_beyond_the_horizon_only_where_the_way_does() -> None:
    """9 m and the horizon reaches 6: in the open it ends at speed; at a wall that cannot be passed it ends at rest."""
    wall = make_world(GapConfig(gap_m=0.4, width_m=20.0, height_m=9.0)).field
    for distances, goes_on in ((FIELD, True), (wall, False)):
        seen: list[Problem] = []
        one = Pilot(CONFIG, Fixed(Trajectory.hover(HERE), seen), distances)  # type: ignore[arg-type]
        start = Trajectory.hover([-5.0, 3.0, 1.5])
        one.fly(0.0, start, Wish(np.array([4.0, 3.0, 1.5]), None), traffic())
        assert seen[0].free_tail == goes_on
        assert np.linalg.norm(seen[0].tail[1]) == pytest.approx(1.5 if goes_on else 0.0)


def test_a_plan_that_the_vehicle_cannot_fly_is_not_flown() -> None:
    wish, none = Wish(GOAL, None), traffic()
    for speed, flown in ((2.3, True), (2.5, False)):
        fast, hover = moving((0, 0, 1.5), (speed, 0, 0)), Trajectory.hover(HERE)
        assert (pilot(fast).fly(0.0, hover, wish, none) is fast) == flown
    for accel, flown in ((4.7, True), (4.9, False)):
        piece = np.zeros((1, 6, 3))
        piece[0, 0], piece[0, 2, 0] = HERE, accel / 2.0
        hard = Trajectory(piece, np.array([0.3]))
        assert (pilot(hard).fly(0.0, Trajectory.hover(HERE), wish, none) is hard) == flown


def test_in_its_place_a_vehicle_leaves_some_speed_to_those_behind() -> None:
    """0.5 m of slots' spacings, 2 m, behind its place it flies as fast as it may; beside or before it, it does not."""
    agent, times = vehicle(3, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5)), np.linspace(0.0, 4.0, 20)
    ahead = agent.act.goal + agent.act.slots[3] - HERE
    ahead /= np.linalg.norm(ahead)
    side = np.array([-ahead[1], ahead[0], 0.0])
    for off, pace in ((0 * ahead, 0.8), (0.5 * ahead, 0.9), (ahead, 1.0), (2 * ahead, 1.0), (-ahead, 0.8), (side, 0.8)):
        assert agent._wish(0.0, Places(times, np.tile(HERE + off, (20, 1)))).pace == pytest.approx(pace)
    assert agent._wish(0.0, None).pace == 1.0
    seen: list[Problem] = []
    one = Pilot(CONFIG, Fixed(Trajectory.hover(HERE), seen), FIELD)  # type: ignore[arg-type]
    one.fly(0.0, Trajectory.hover(HERE), Wish(GOAL, None, 0.9), traffic())
    assert seen[0].speed_mps == pytest.approx(1.8)


def test_who_comes_no_nearer_to_its_goal_in_a_formation_goes_on_alone() -> None:
    """For 4 s, after 4 s in which it is not 1 m nearer; the next time for 8 s; not at its goal."""
    agent, every = vehicle(3, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5)), np.arange(0.0, 23.0, 0.5).tolist()
    end, alone = agent.act.goal + agent.act.slots[3], []
    for now_s in every:
        agent.flown = Trajectory.hover(end + 5.0 * np.array([np.cos(now_s), np.sin(now_s), 0.0]), now_s)
        alone.append(agent._stalled(now_s))
    assert alone == [4.0 <= now_s < 8.0 or 11.5 <= now_s < 19.5 for now_s in every]
    for speed, stalls in ((0.2, True), (0.3, False)):
        agent = vehicle(3, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5))
        agent.flown = moving(tuple(end - [20.0, 0, 0]), (speed, 0, 0))
        assert any(agent._stalled(now_s) for now_s in every) == stalls
    agent = vehicle(3, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5))
    agent.flown = Trajectory.hover(end + np.array([1.9, 0.0, 0.0]))
    assert not any(agent._stalled(now_s) for now_s in every)


def test_who_gets_another_slot_has_not_stalled_yet() -> None:
    """Its new goal is farther away than the old one was."""
    agent, every = vehicle(3, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5)), np.arange(0.0, 9.0, 0.5).tolist()
    alone = []
    for now_s in every:
        agent.roster.slot = 3 if now_s < 3.0 else 0
        alone.append(agent._stalled(now_s))
    assert alone == [now_s >= 7.0 for now_s in every]


def test_who_waits_for_others_does_not_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, every = vehicle(3, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5)), np.arange(0.0, 9.0, 0.5).tolist()
    monkeypatch.setattr(agent.roster, "waits", lambda now_s: now_s < 5.0)
    assert [now_s for now_s in every if agent._stalled(now_s)] == [8.5], "4 s after 4.5, when it waited last"


def test_who_waits_stays_where_the_formation_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """At all moments, though the formation itself flies on at 1 m/s; without a place, where it is."""
    agent, times = vehicle(3, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5)), np.linspace(0.0, 4.0, 20)
    monkeypatch.setattr(agent.roster, "waits", lambda now_s: True)
    moves = Places(times, HERE + [0.0, 0.5, 0.0] + times[:, None] * [1.0, 0.0, 0.0])
    wish = agent._wish(0.0, moves)
    assert isinstance(wish.shape, Places)
    assert wish.goal == pytest.approx(HERE + np.array([0.0, 0.5, 0.0]))
    assert np.ptp(wish.shape.points, axis=0) == pytest.approx([0.0, 0.0, 0.0])
    assert agent._wish(0.0, None).goal == pytest.approx(HERE)


def test_in_another_formation_nobody_has_stalled_yet() -> None:
    acts = [{"at_s": 8.0, "shape": "ring", "goal": (9.0, 0.0, 3.0)}]
    agent = vehicle(3, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5), acts=acts, seconds=30.0)
    assert any(agent._stalled(now_s) for now_s in np.arange(0.0, 8.0, 0.5).tolist())
    agent.plan(8.0, Inbox.of_messages([]))
    assert not agent._stalled(8.5)
    assert agent._stalls == 0


def test_the_first_plan_in_a_formation_is_flown_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others still hover, their formation does: to keep to it would be to stay."""
    acts = [{"at_s": 2.0, "shape": "ring", "goal": (9.0, 0.0, 3.0)}]
    starts = slots("hexagon", 7) + HERE
    agent = vehicle(3, starts[3], n=7, shape="hexagon", goal=(9, 0, 1.5), acts=acts, seconds=9.0)
    told = [vehicle(k, starts[k], n=7, shape="hexagon", goal=(9, 0, 1.5)).message(0.0) for k in range(7) if k != 3]
    seen: list[Wish] = []
    fly = Pilot.fly

    def watched(one: Pilot, now_s: float, flown: Trajectory, wish: Wish, others: Traffic) -> Trajectory:
        seen.append(wish)
        return fly(one, now_s, flown, wish, others)

    monkeypatch.setattr(Pilot, "fly", watched)
    for now_s in (0.5, 1.0, 2.0, 2.5):
        agent.plan(now_s, Inbox.of_messages([replace(one, sent_s=now_s) for one in told]))
    assert [wish.shape is None for wish in seen] == [True, False, True, False]
    assert seen[0].goal == pytest.approx(np.array([9.0, 0, 1.5]) + slots("hexagon", 7)[3])


def test_of_two_whose_plans_cross_the_higher_plans_again_and_both_in_a_hurry() -> None:
    """They made them at once: 1.4 s from where they meet only the higher number yields, 0.5 s before it both do."""
    for meets_s, safe in ((1.4, (True, False)), (0.5, (False, False))):
        across = (moving((-meets_s, 0, 1.5), (1.0, 0, 0)), moving((0, -meets_s, 1.5), (0, 1.0, 0)))
        pair = [vehicle(k, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5)) for k in (3, 5)]
        for agent, path in zip(pair, across, strict=True):
            agent.flown = path
        news = [Inbox.of_messages([one.message(0.0)]) for one in pair]
        assert (pair[0].is_safe(0.0, news[1]), pair[1].is_safe(0.0, news[0])) == safe


def test_the_strayed_fly_alone_to_where_the_formation_will_be() -> None:
    """4 m, two slots, from its place; nearer it flies to its goal in formation; and so does who was never sure."""
    agent = vehicle(3, HERE, n=7, shape="hexagon", goal=(9, 0, 1.5))
    end, times = np.array([9.0, 0, 1.5]) + agent.act.slots[3], np.linspace(0.0, 4.0, 20)
    near = Places(times, np.tile(HERE + np.array([0.0, 3.9, 0.0]), (20, 1)))
    far = Places(times, HERE + [0.0, 4.1, 0.0] + times[:, None] * [1.0, 0.0, 0.0])
    for places, goal, shape in ((None, end, None), (near, end, near), (far, far.points[-1], None)):
        wish = agent._wish(0.0, places)
        assert wish.goal == pytest.approx(goal)
        assert wish.shape is shape
    agent.plan(0.0, Inbox.of_messages([]))
    assert agent.registration is not None
    assert not agent.registration.memory.sure
    assert agent._wish(0.0, far).goal == pytest.approx(end)
