"""Who takes which slot: the cheapest way by trying all, and the middle first when some have failed."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from espalier.core.errors import DataError
from espalier.robots.swarm.formation.assign import assign, remap
from espalier.robots.swarm.formation.closing import closes_inwards
from espalier.robots.swarm.formation.config import TextShape
from espalier.robots.swarm.formation.library import grid, hexagon
from espalier.robots.swarm.formation.make import make_formation
from espalier.robots.swarm.register.similarity import Freedom
from espalier.robots.swarm.register.umeyama import umeyama

SHIFT = np.array([10.0, 0, 0])
SEEDS = st.integers(0, 2**32 - 1)


@given(st.integers(1, 6), st.integers(0, 1), SEEDS)
@settings(max_examples=40, deadline=None)
def test_no_other_order_is_cheaper(n: int, spare: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions, slots = rng.normal(size=(n, 3)) * 5 + 50, rng.normal(size=(n + spare, 3)) * 5
    found = assign(positions, slots)
    placed = found.place.apply(slots)
    np.testing.assert_allclose(placed.mean(0), positions.mean(0))
    costs = [((positions - placed[list(order)]) ** 2).sum() for order in permutations(range(n + spare), n)]
    assert found.cost == pytest.approx(min(costs))
    assert ((positions - placed[found.slot]) ** 2).sum() == pytest.approx(found.cost)
    assert len(set(found.slot.tolist())) == n


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_agents_in_their_slots_stay(seed: int) -> None:
    """Whatever their order; and where the formation stands turned, if its place is given."""
    rng = np.random.default_rng(seed)
    slots, order = grid(20, 2.0), rng.permutation(20)
    found = assign(slots[order] + rng.normal(size=3), slots)
    np.testing.assert_array_equal(found.slot, order)
    turned = 1.2 * slots @ Rotation.random(random_state=rng).as_matrix().T + 9.0
    found = assign(turned[order], slots, place=umeyama(slots, turned))
    np.testing.assert_array_equal(found.slot, order)
    assert found.cost == pytest.approx(0.0, abs=1e-9)


def test_freedom_turns_the_slots_to_the_agents() -> None:
    slots = hexagon(19, 2.0)
    positions = 1.1 * slots @ Rotation.from_euler("z", 0.15).as_matrix().T + (3.0, 4, 5)
    fixed = assign(positions, slots)
    free = assign(positions, slots, freedom=Freedom(yaw_only=True, scale=(0.7, 1.3)))
    assert free.cost == pytest.approx(0.0, abs=1e-9)
    assert free.cost < fixed.cost
    assert free.place.scale == pytest.approx(1.1)


def test_the_middle_is_filled_first_by_those_who_are_left() -> None:
    """Of 19 in a hexagon the centre and 5 others fail: 13 go to the centre, the 6 around and 6 of the outer ring."""
    slots = hexagon(19, 2.0)
    healthy = np.ones(19, bool)
    middle = int(np.argmin(np.linalg.norm(slots, axis=1)))
    outer = np.flatnonzero(np.linalg.norm(slots, axis=1) > 3.9)
    healthy[[middle, *outer[:2]]] = False
    positions = slots + SHIFT
    positions[~healthy] = np.nan
    found = remap(positions, slots, healthy)
    assert (found.slot[~healthy] == -1).all()
    taken = found.slot[healthy]
    assert len(set(taken.tolist())) == 16
    away = np.linalg.norm(slots, axis=1).round(6)
    left_out = np.setdiff1d(np.arange(19), taken)
    assert middle in taken
    assert away[left_out].min() >= away[taken].max()
    again = remap(positions, slots, healthy, place=umeyama(slots, slots + SHIFT))
    assert again.cost <= ((positions[healthy] - (slots[taken] + SHIFT)) ** 2).sum() + 1e-9


def test_all_healthy_keep_their_slots_and_none_healthy_have_none() -> None:
    slots = grid(9, 2.0)
    assert remap(slots + 5.0, slots, np.ones(9, bool)).slot.tolist() == list(range(9))
    nobody = remap(slots, slots, np.zeros(9, bool))
    assert nobody.slot.tolist() == [-1] * 9
    assert nobody.cost == 0.0


def test_too_few_slots_and_agents_that_are_nowhere() -> None:
    with pytest.raises(DataError, match="3 agents with finite positions are needed and at least as many slots, not 2"):
        assign(np.zeros((3, 3)), np.zeros((2, 3)))
    with pytest.raises(DataError, match="finite positions"):
        assign(np.full((2, 3), np.nan), np.zeros((2, 3)))


@pytest.mark.parametrize(("words", "n"), [("FLIP", 48), ("ESPALIER", 80), ("AI", 24), ("Bistro", 96)])
@pytest.mark.parametrize("share", [0.1, 0.15, 0.2])
def test_a_word_that_closes_ranks_loses_no_part_of_a_letter(words: str, n: int, share: float) -> None:
    """Each slot that is left free lies between slots that are filled, and all letters lose alike."""
    slots = make_formation(TextShape(words=words), n, 1.5)
    healthy = np.arange(n) >= round(share * n)  # those with the lowest numbers fail, which are side by side
    found = remap(slots + SHIFT, slots, healthy, inwards=False)
    taken = np.sort(found.slot[healthy])
    assert len(set(taken.tolist())) == healthy.sum()
    apart = cdist(slots, slots)
    np.fill_diagonal(apart, np.inf)
    free = np.setdiff1d(np.arange(n), taken)
    assert (apart[np.ix_(free, taken)].min(1) <= 1.05 * apart[free].min(1)).all(), "the nearest of each is filled"
    letters = np.digitize(slots[:, 0], np.linspace(slots[:, 0].min(), slots[:, 0].max() + 1e-9, len(words) + 1))
    lost = [np.isin(free, np.flatnonzero(letters == k)).sum() / (letters == k).sum() for k in np.unique(letters)]
    assert max(lost) <= 0.4
    assert (found.slot[~healthy] == -1).all()


def test_a_ring_that_closes_ranks_stays_round() -> None:
    slots = make_formation("ring", 30, 2.0)
    healthy = np.arange(30) >= 6
    taken = np.sort(remap(slots, slots, healthy, inwards=closes_inwards("ring")).slot[healthy])
    assert np.diff(np.append(taken, taken[0] + 30)).max() == 2, "no two neighbours are left free"
    assert closes_inwards("grid")
    assert not closes_inwards(TextShape(words="A"))
