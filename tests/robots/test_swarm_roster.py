"""Who is out, lost, waited for and given a slot: by hand, and that vehicles which hear each other come to agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.robots.swarm.fleet.config import PolicyConfig
from espalier.robots.swarm.fleet.roster import Allotment, Claims, Roster
from espalier.robots.swarm.register.memory import Memory
from espalier.robots.swarm.register.spatiotemporal import Registration
from espalier.robots.swarm.register.umeyama import umeyama

N = 6
SLOTS = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [5, 5, 0]])
NOBODY = np.zeros(N, np.bool_)


def registered(out: tuple[int, ...] = (), away_m: float = 9.0, **changes: bool) -> Registration:
    """Everybody at its slot, but for some that are so far away."""
    fit = umeyama(SLOTS, np.stack([SLOTS, SLOTS]))
    inlier = ~np.isin(np.arange(N), out)
    residual = np.where(inlier, 0.0, np.full((2, 1), away_m))
    flags = {"ambiguous": False, "held": False, "sure": True, **changes}
    memory = Memory(0.0, np.array([0.0, 4.0]), fit, inlier, np.full(N, np.inf), flags["sure"], 0.0)
    return Registration(fit, inlier, residual, 1.0, flags["ambiguous"], 0, flags["held"], memory)


def claims(senders: Sequence[int], slot: Sequence[int], told: Allotment) -> Claims:
    return Claims(np.array(senders, np.int64), np.array(slot, np.int64), np.zeros(len(senders), np.int64), [told])


def say(*who: int, allotment: Allotment | None = None) -> Claims:
    told = allotment or Allotment(0, 0, np.arange(N))
    return claims(who, [told.slot[k] for k in who], told)


def roster(me: int, **policy: object) -> Roster:
    return Roster(me, N, PolicyConfig.of(**policy))


def flags(who: tuple[int, ...]) -> np.ndarray:
    return np.isin(np.arange(N), who)


def see(
    one: Roster, until_s: float, found: Registration, *, behind: tuple[int, ...] = (), nearing: tuple[int, ...] = ()
) -> None:
    """All speak and are seen so, every half second."""
    for now_s in np.arange(0.0, until_s + 0.01, 0.5).tolist():
        one.listen(now_s, say(*(k for k in range(N) if k != one.me)))
        one.judge(now_s, found, flags(behind), flags(nearing))


def test_out_for_long_is_lost_and_not_before() -> None:
    one = roster(0, lost_s=3.0)
    see(one, 2.5, registered((4,)))
    assert not one.lost(2.9).any()
    assert np.flatnonzero(one.lost(3.0)).tolist() == [4]
    one.judge(3.5, registered(), NOBODY, NOBODY)
    assert not one.lost(99.0)[4]


def test_near_or_on_its_way_is_not_out() -> None:
    for away_m, nearing, lost in ((2.9, (), False), (3.1, (), True), (9.0, (4,), False)):
        one = roster(0)
        see(one, 5.0, registered((4,), away_m), nearing=nearing)
        assert one.lost(5.0)[4] == lost


@pytest.mark.parametrize("change", [{"held": True}, {"sure": False}])
def test_a_registration_that_is_not_sure_teaches_nothing(change: dict[str, bool]) -> None:
    one = roster(0)
    see(one, 5.0, registered((4,), **change))
    assert not one.lost(9.0).any()


def test_silence_is_being_lost_and_who_never_spoke_may_come_yet() -> None:
    one = roster(0, lost_s=3.0)
    one.listen(1.0, say(1, 2, 3))
    for now_s in (2.0, 3.0, 4.0):
        one.listen(now_s, say(1, 2))
        one.judge(now_s, registered((3, 4, 5)), NOBODY, NOBODY)
    assert np.flatnonzero(one.lost(4.0)).tolist() == [3]
    for now_s in (5.0, 6.0, 7.0):
        one.listen(now_s, say(1, 2))
        one.judge(now_s, registered((3, 4, 5)), NOBODY, NOBODY)
    assert np.flatnonzero(one.lost(7.0)).tolist() == [3]
    one.listen(7.5, say(1, 2, 3))
    assert not one.lost(7.5).any()


def test_only_under_its_policy_a_lost_one_behind_is_waited_for_and_not_for_ever() -> None:
    for stuck, behind, waits in (("go_on", (4,), False), ("wait", (), False), ("wait", (4,), True)):
        one = roster(0, stuck=stuck, lost_s=3.0, wait_s=2.0)
        see(one, 4.0, registered((4,)), behind=behind)
        assert one.waits(4.0) == waits
        assert not one.waits(5.0)
    one = roster(0, stuck="wait")
    see(one, 4.0, registered((4,)), behind=(4,))
    one.listen(4.5, say(1, 2, 3, 5))
    assert not one.waits(4.5), "nobody waits for one that is silent"


def test_the_lowest_that_is_not_lost_allots_and_no_other() -> None:
    for me, allots in ((1, True), (2, False), (5, False)):
        one = roster(me, remap_share=0.1)
        see(one, 4.0, registered((0,)))
        assert one.allot(4.0, registered((0,)), SLOTS, SLOTS) == allots
    one = roster(1, remap_share=0.1)
    see(one, 4.0, registered((0,)))
    assert one.allot(4.0, registered((0,)), SLOTS, SLOTS)
    assert one.allotment[:2] == (1, 1)
    assert one.allotment.slot[0] == -1
    assert sorted(one.allotment.slot[1:].tolist()) == [0, 1, 2, 3, 4], "the outermost slot is left"
    assert not one.allot(4.5, registered((0,)), SLOTS, SLOTS), "there is nothing new"


@pytest.mark.parametrize(
    ("policy", "found", "heard"),
    [
        ({"remap_share": None}, registered((0,)), N),
        ({"remap_share": 0.2}, registered((0,)), N),
        ({"remap_share": 0.1}, registered((0, 1, 2, 3, 4)), N),
        ({"remap_share": 0.1}, registered((0,), held=True), N),
        ({"remap_share": 0.1}, registered((0,)), 3),
        ({"remap_share": 0.1, "stuck": "wait"}, registered((0,)), N),
    ],
)
def test_slots_stay_where_there_is_doubt_or_no_need(policy: dict[str, object], found: Registration, heard: int) -> None:
    one = roster(1, **policy)
    see(one, 4.0, registered((0,)), behind=(0,))
    one.listen(4.0, say(*(0, 2, 3, 4, 5)[: heard - 1]))
    assert not one.allot(4.0, found, SLOTS, SLOTS)


def test_of_two_allotments_the_later_counts_then_the_lower_number_and_none_of_the_lost() -> None:
    one = roster(5)
    a, b, c = (Allotment(k, by, np.roll(np.arange(N), k)) for k, by in ((1, 2), (1, 1), (2, 4)))
    assert one.listen(0.0, say(2, allotment=a))
    assert one.allotment is a
    assert one.listen(0.5, say(1, allotment=b))
    assert one.allotment is b
    assert not one.listen(1.0, say(2, allotment=a))
    see(one, 5.0, registered((4,)))
    assert not one.listen(5.0, say(4, allotment=c))
    assert one.listen(5.0, say(0, allotment=c))
    assert one.slot == c.slot[5]


def test_who_lost_its_slot_takes_the_nearest_free_one_and_yields_to_a_lower_number() -> None:
    slot = np.array([0, 1, 2, 3, -1, -1])
    told = Allotment(1, 0, slot)
    one = roster(5)
    one.listen(0.0, claims([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], told))
    assert one.slot == -1
    assert one.claimed[4] == 4, "it keeps the slot that nobody was given"
    one.settle(0.0, np.array([1.0, 1.0, 0.0]), SLOTS)
    assert one.slot == 5
    two = roster(5)
    two.listen(0.0, claims([0, 1, 2, 3, 4], [0, 1, 2, 3, 0], told))
    assert two.claimed[4] == -1, "its old slot is another's"
    two.settle(0.0, np.array([1.0, 1.0, 0.0]), SLOTS)
    assert two.slot == 4
    two.listen(0.5, claims([4], [4], told))
    two.settle(0.5, np.array([1.0, 1.0, 0.0]), SLOTS)
    assert two.slot == 5


def test_of_two_that_are_lost_to_each_other_the_higher_takes_another_slot() -> None:
    """Both stand far from their places, so each believes the other lost: they share no slot all the same."""
    told, here = Allotment(1, 0, np.array([0, 1, 2, 3, -1, -1])), np.array([1.0, 1.0, 0.0])
    pair = {4: roster(4), 5: roster(5)}
    for one in pair.values():
        one.listen(0.0, claims([0], [0], told))
    for now_s in np.arange(0.5, 8.0, 0.5).tolist():
        for me, one in pair.items():
            rival = 9 - me
            one.listen(now_s, claims([0, 1, 2, 3, rival], [0, 1, 2, 3, pair[rival].slot], told))
            one.judge(now_s, registered((rival,)), NOBODY, NOBODY)
            one.settle(now_s, here, SLOTS)
    assert [one.lost(7.5)[rival] for one, rival in ((pair[4], 5), (pair[5], 4))] == [True, True]
    assert (pair[4].slot, pair[5].slot) == (4, 5)


def test_where_every_slot_is_claimed_that_of_a_lost_one_is_taken() -> None:
    """The fourth was given the sixth slot and does not know it yet; the fifth claims the fifth, and is dead."""
    told = Allotment(1, 0, np.array([0, 1, 2, 5, -1, -1]))
    for dead, slot in ((True, 4), (False, -1)):
        one = roster(5)
        for now_s in np.arange(0.0, 8.0, 0.5).tolist():
            one.listen(now_s, claims([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], told))
            one.judge(now_s, registered((4,) if dead else ()), NOBODY, NOBODY)
            one.settle(now_s, np.array([0.0, 1.0, 0.0]), SLOTS)
        assert one.slot == slot


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), max_size=30), st.integers(0, 999))
def test_vehicles_that_hear_each_other_come_to_one_allotment(pairs: list[tuple[int, int]], seed: int) -> None:
    """Some make allotments, messages go to and fro; once all have heard all, each slot is held by one."""
    rng, fleet = np.random.default_rng(seed), [roster(k) for k in range(N)]
    for k in rng.choice(N, 2, replace=False):
        fleet[k].allotment = Allotment(int(rng.integers(1, 3)), int(k), rng.permutation(N))
        fleet[k].slot = int(fleet[k].allotment.slot[k])
    everything = pairs + [(a, b) for a in range(N) for b in range(N)]
    for sender, receiver in everything + everything:
        if sender != receiver:
            one = fleet[sender]
            fleet[receiver].listen(0.0, claims([sender], [one.slot], one.allotment))
    assert len({one.allotment[:2] for one in fleet}) == 1
    assert sorted(one.slot for one in fleet) == list(range(N))


def test_where_ranks_were_closed_the_next_formation_is_thinned_by_its_own_shape() -> None:
    """Of a row the two in the middle go in another order than of the square before; all vehicles say the same."""
    row = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0], [5, 0, 0]])
    told = Allotment(3, 1, np.array([4, -1, 2, 1, -1, 0]))
    found = []
    for me in range(N):
        one = roster(me)
        one.listen(1.0, claims([0 if me else 2], [told.slot[0 if me else 2]], told))
        assert one.allotment.round == 3
        one.change(SLOTS, row, inwards=False)
        found.append(one.allotment)
        assert one.slot == one.allotment.slot[me]
    assert {tuple(each.slot.tolist()) for each in found} == {tuple(found[0].slot.tolist())}
    assert (found[0].round, found[0].by) == (3, 1), "nobody need say so"
    held = found[0].slot
    assert (held < 0).tolist() == [False, True, False, False, True, False], "who had none has none"
    assert {0, 5} <= set(held.tolist()), "the ends stay"
    free = sorted(set(range(N)) - set(held.tolist()))
    assert free[1] - free[0] > 1, "two neighbours are not left free"
    whole = roster(2)
    whole.change(SLOTS, row, inwards=False)
    assert whole.allotment.slot.tolist() == list(range(N)), "nobody is lost: nothing changes"
