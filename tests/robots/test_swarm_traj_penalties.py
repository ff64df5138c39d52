"""What a trajectory costs: every term by hand, a slow version, exact gradients, invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import DataError
from espalier.robots.swarm.traj.config import LimitsConfig, WeightsConfig
from espalier.robots.swarm.traj.graph_metric import NOBODY, Graph, graph, random_edges, shape_error, wanted
from espalier.robots.swarm.traj.minco import Minco
from espalier.robots.swarm.traj.neighbours import Neighbours, pack, place
from espalier.robots.swarm.traj.objective import Task, objective, unpacked
from espalier.robots.swarm.traj.penalties import Around, Places, Terms, penalties
from espalier.robots.swarm.traj.timemap import from_durations
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.esdf import DistanceField, look_up

SEEDS = st.integers(0, 2**32 - 1)
LIMITS = LimitsConfig(speed_mps=2.0, accel_mps2=3.0, floor_m=0.5, ceiling_m=1.5)
NOTHING = WeightsConfig(**dict.fromkeys(WeightsConfig.model_fields, 0.0))
NOWHERE = Places(np.empty(0), np.empty((0, 3)))
OPEN = DistanceField(np.full((2, 2, 2), 9.0, np.float32), np.zeros(3), 1.0)


def slanted(slope: np.ndarray, at_zero: float) -> DistanceField:
    """A distance that is linear within 20 m of the origin: there is no edge at which its gradient would jump."""
    middles = np.stack(np.meshgrid(*[np.linspace(-20, 20, 5)] * 3, indexing="ij"), -1)
    return DistanceField((middles @ slope + at_zero).astype(np.float32), np.full(3, -25.0), 10.0)


def around(
    weights: WeightsConfig,
    field: DistanceField = OPEN,
    others: list[Trajectory] | None = None,
    places: Places = NOWHERE,
    start: float = 0.0,
    samples: int = 4,
    shape: Graph = NOBODY,
) -> Around:
    """What is around a trajectory: nothing, unless given."""
    return Around(start, samples, Terms.of(LIMITS, weights), field, pack(others or []), places, shape)


def cost(trajectory: Trajectory, given: Around) -> float:
    return float(penalties(trajectory.coefficients, trajectory.durations, given)[0])


def straight(velocity: tuple[float, float, float], durations: list[float], z: float = 1.0) -> Trajectory:
    coefficients = np.zeros((len(durations), 6, 3))
    begins = np.concatenate([[0.0], np.cumsum(durations)[:-1]])
    coefficients[:, 0] = np.outer(begins, velocity) + np.array([0, 0, z])
    coefficients[:, 1] = velocity
    return Trajectory(coefficients, np.array(durations))


def only(name: str, weight: float) -> WeightsConfig:
    return NOTHING.model_copy(update={name: weight})


def test_obstacles_and_altitude_by_hand() -> None:
    """Standing 0.3 m from an obstacle, 0.2 m below the floor and 0.5 m above the ceiling, for three seconds. Both
    push from 5 cm before.
    """
    near = DistanceField(np.full((2, 2, 2), 0.3, np.float32), np.full(3, -9.0), 9.0)
    assert cost(straight((0, 0, 0), [1, 2]), around(only("obstacle", 7.0), near)) == pytest.approx(7 * 0.2**3 * 3)
    altitude = around(only("altitude", 5.0))
    assert cost(straight((0, 0, 0), [1, 2], z=0.3), altitude) == pytest.approx(5 * 0.25**3 * 3)
    assert cost(straight((0, 0, 0), [1, 2], z=2.0), altitude) == pytest.approx(5 * 0.55**3 * 3)
    assert cost(straight((0, 0, 0), [1, 2], z=1.0), altitude) == 0.0


def test_dynamics_and_time_by_hand() -> None:
    assert cost(straight((3, 0, 0), [1, 2]), around(only("dynamics", 2.0))) == pytest.approx(2 * (9 - 4) ** 3 * 3)
    assert cost(straight((0, 2, 0), [1, 2]), around(only("dynamics", 2.0))) == 0.0
    coefficients = np.zeros((1, 6, 3))
    coefficients[0, 1:3, 0] = -0.5, 2.0  # accelerates at 4 for a quarter of a second, never faster than 0.5
    hard = Trajectory(coefficients, np.array([0.25]))
    assert cost(hard, around(only("dynamics", 2.0))) == pytest.approx(2 * (16 - 9) ** 3 * 0.25)
    assert cost(straight((0, 2, 0), [1, 2]), around(only("time", 80.0))) == pytest.approx(240.0)


@pytest.mark.parametrize(
    ("offset", "missing"), [((0.5, 0, 0), 0.5625 - 0.25), ((0, 0, 1), 0.5625 - 0.25), ((0, 1, 0), 0)]
)
def test_others_by_hand(offset: tuple[float, float, float], missing: float) -> None:
    """Side by side, or below each other, where a metre counts half; both fly, begun at other times."""
    own = straight((1, 0, 0), [1, 2])
    other = straight((1, 0, 0), [4, 4])
    other.coefficients[:, 0] += offset
    other = Trajectory(other.coefficients - np.eye(6)[:, :1] * (2.0, 0, 0), other.durations, start_s=3.0)
    found = cost(own, around(only("reciprocal", 3.0), others=[other], start=5.0))
    assert found == pytest.approx(3 * missing**3 * 3)


def test_formation_and_spacing_by_hand() -> None:
    places = Places(np.array([10.5, 12.0, 99.0]), np.array([[0.5, 0.3, 1.0], [2.0, 0.0, 1.4], [89.0, 0.0, 1.0]]))
    found = cost(straight((1, 0, 0), [1, 2]), around(only("formation", 6.0), places=places, start=10.0))
    assert found == pytest.approx(6 * (0.3**2 + 0.4**2) / 3)
    squares = np.array([0.25] * 3 + [0.375] + [0.5] * 3) ** 2
    assert cost(straight((1, 0, 0), [1, 2]), around(only("spacing", 8.0))) == pytest.approx(8 * squares.var())


def test_graph_by_hand() -> None:
    """Passing by two others, and flown on after its end; wanted is a triangle with sides of 2 m, mean degree 8."""
    corners = np.array([[0.0, 0, 1], [2, 0, 1], [1, np.sqrt(3), 1]])
    shape = graph(np.array([10.0, 11.0, 13.0]), np.repeat(corners[None, :2], 3, 0), wanted(corners[2], corners[:2]))
    found = cost(straight((1, 0, 0), [0.5, 1.5]), around(only("graph", 6.0), start=10.0, shape=shape))
    # At one end of the other two, with one edge of no length: (0 - 1/2)^2 once, 1/sqrt(2) - 1/2 twice. In the middle,
    # with edges of 1, 1, 4 square metres: degrees 2, 5, 5. One metre beyond: 9, 1, 4, degrees 10, 13, 5.
    end = 2 * (0.25 + 2 * (0.5**0.5 - 0.5) ** 2)
    middle = 2 * (2 * (1 / 10**0.5 - 0.5) ** 2 + (4 / 5 - 0.5) ** 2)
    beyond = 2 * ((9 / 130**0.5 - 0.5) ** 2 + (1 / 50**0.5 - 0.5) ** 2 + (4 / 65**0.5 - 0.5) ** 2)
    assert found == pytest.approx(6 * 8 * (end + middle + beyond) / 3)


def some(seed: int) -> tuple[Minco, Around]:
    """Everything at once: each term counts somewhere."""
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 6))
    ends = rng.normal(size=(2, 3, 3))
    curve = Minco(ends[0], ends[1], rng.normal(size=(m - 1, 3)), rng.uniform(0.4, 1.5, m))
    others = []
    for _ in range(3):
        pieces = int(rng.integers(1, 5))
        ends = 0.5 * rng.normal(size=(2, 3, 3))
        other = Minco(*ends, 0.5 * rng.normal(size=(pieces - 1, 3)), rng.uniform(0.5, 1, pieces))
        others.append(other.trajectory(100 + rng.uniform(-1, 1)))
    slope = rng.normal(size=3)
    field = slanted(slope / np.linalg.norm(slope), 0.2)
    places = Places(100 + rng.uniform(0.05, 5, 6), rng.normal(size=(6, 3)))
    n = int(rng.integers(2, 8))
    slots, edges = rng.normal(size=(n + 1, 3)), random_edges(n + 1, 0.5, rng) if seed % 2 else None
    times = np.sort(100 + rng.uniform(0.05, 5, 5))
    shape = graph(times, rng.normal(size=(5, n, 3)), wanted(slots[n], slots[:n], edges))
    weights = WeightsConfig(
        obstacle=5, reciprocal=50, dynamics=0.01, altitude=5, formation=3, graph=2, spacing=2, time=1
    )
    return curve, around(weights, field, others, places, 100.0, shape=shape)


def slow(curve: Minco, given: Around) -> dict[str, float]:
    """The terms from positions and velocities at times, one after the other."""
    own, terms, out = curve.trajectory(given.start), given.terms, dict.fromkeys(("obstacle", "others", "dynamics"), 0.0)
    points, begin = [], given.start
    for duration in curve.durations:
        for j in range(given.samples):
            at, part = begin + (j + 0.5) / given.samples * duration, duration / given.samples
            p, v, a = own.position(at), own.velocity(at), own.acceleration(at)
            points.append(p)
            near = look_up(given.field, p[None])[0][0]
            low, high = terms.floor - p[2], p[2] - terms.ceiling
            out["obstacle"] += part * terms.obstacle_weight * max(terms.clearance - near, 0) ** 3
            out["obstacle"] += part * terms.altitude_weight * (max(low, 0) ** 3 + max(high, 0) ** 3)
            fast, hard = v @ v - terms.speed**2, a @ a - terms.accel**2
            out["dynamics"] += part * terms.dynamics_weight * (max(fast, 0) ** 3 + max(hard, 0) ** 3)
            for k in range(len(given.others.starts)):
                away = (p - place(given.others, k, at, 0)) * (1, 1, 0.5)
                out["others"] += part * terms.reciprocal_weight * max(terms.separation**2 - away @ away, 0) ** 3
        begin += duration
    away = own.position(given.places.times) - given.places.points
    out["formation"] = terms.formation_weight * (away**2).sum(1).mean()
    pull, errors = np.empty(3), 0.0
    for k, at in enumerate(given.graph.times):
        errors += shape_error(given.graph, k, own.position(at), pull) * given.graph.wanted.scale
    out["graph"] = terms.graph_weight * errors / len(given.graph.times)
    steps = (np.diff(points, axis=0) ** 2).sum(1)
    out["spacing"] = terms.spacing_weight * steps.var() if len(steps) > 1 else 0.0
    out["time"] = terms.time_weight * curve.durations.sum()
    return out


@settings(max_examples=30)
@given(SEEDS)
def test_it_is_the_sum_of_its_terms(seed: int) -> None:
    curve, given = some(seed)
    assert penalties(curve.coefficients, curve.durations, given)[0] == pytest.approx(sum(slow(curve, given).values()))


def test_every_term_counts_in_the_scenes_of_these_tests() -> None:
    terms = [slow(*some(seed)) for seed in range(8)]
    assert terms[0].keys() == {"obstacle", "others", "dynamics", "formation", "graph", "spacing", "time"}
    for name in terms[0]:
        assert sum(one[name] > 1e-3 for one in terms) >= 4, name


def differences(value, x: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    out, step = np.empty_like(x), 1e-5
    for at in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[at] = step
        out[at] = (8 * (value(x + move) - value(x - move)) - value(x + 2 * move) + value(x - 2 * move)) / (12 * step)
    return out


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * max(np.abs(wanted).max(), 1e-3))


@settings(max_examples=40)
@given(SEEDS)
def test_gradients_by_coefficients_and_durations(seed: int) -> None:
    curve, given = some(seed)
    pieces, durations = curve.coefficients, curve.durations
    by_coefficients = penalties(pieces, durations, given)[1]
    same(by_coefficients, differences(lambda c: penalties(c, durations, given)[0], pieces))
    # A place's moment may be at a joint of these pieces, which the changed durations would tear apart: see below.
    without = given._replace(places=NOWHERE, graph=NOBODY)
    same(penalties(pieces, durations, without)[2], differences(lambda t: penalties(pieces, t, without)[0], durations))


@settings(max_examples=40)
@given(SEEDS, st.booleans())
def test_gradients_by_the_variables(seed: int, free: bool) -> None:
    curve, given = some(seed)
    task = Task(curve.head, curve.tail, len(curve.durations), free, 2.0, given)
    parts = [curve.waypoints.ravel(), from_durations(curve.durations)]
    variables = np.concatenate([*parts, curve.tail[:2].ravel() + 0.3] if free else parts)
    waypoints, durations, tail = unpacked(variables, task)
    np.testing.assert_allclose(waypoints, curve.waypoints)
    np.testing.assert_allclose(durations, curve.durations)
    np.testing.assert_allclose(tail[:2], curve.tail[:2] + (0.3 if free else 0.0))
    assert tail[2].tolist() == curve.tail[2].tolist()
    value, gradient = objective(variables, task)
    bent = Minco(curve.head, tail, waypoints, durations)
    goal = 2.0 * 3 * 0.3**2 if free else 0.0
    assert value == pytest.approx(bent.effort + penalties(bent.coefficients, durations, given)[0] + goal)
    same(gradient, differences(lambda x: objective(x, task)[0], variables))


@settings(max_examples=30)
@given(SEEDS)
def test_where_and_when_does_not_matter(seed: int) -> None:
    """All moved level, and all later: the cost is the same."""
    curve, given = some(seed)
    rng = np.random.default_rng(seed)
    move, late = np.array([*rng.uniform(-5, 5, 2), 0.0]), rng.uniform(-50, 50)
    coefficients = curve.coefficients.copy()
    coefficients[:, 0] += move
    others = given.others.coefficients.copy()
    others[:, :, 0] += move
    shifted = given._replace(
        start=given.start + late,
        field=given.field._replace(origin=given.field.origin + move),
        others=given.others._replace(coefficients=others, starts=given.others.starts + late),
        places=Places(given.places.times + late, given.places.points + move),
        graph=given.graph._replace(times=given.graph.times + late, middles=given.graph.middles + move),
    )
    here, there = (
        penalties(c, curve.durations, one) for c, one in ((curve.coefficients, given), (coefficients, shifted))
    )
    assert there[0] == pytest.approx(here[0], rel=1e-6)
    np.testing.assert_allclose(there[2], here[2], rtol=1e-4, atol=1e-4 * np.abs(here[2]).max())


@given(SEEDS)
def test_packed_curves_are_the_same_curves(seed: int) -> None:
    own = some(seed)[0].trajectory(100.0)
    packed: Neighbours = pack([Trajectory.hover((1, 2, 3), 100.0), own])
    for time in (99.0, 100.0, 100.3, own.start_s + own.durations[0], own.end_s, own.end_s + 2.0):
        np.testing.assert_allclose(place(packed, 1, time, 0), own.position(time), atol=1e-9)
        np.testing.assert_allclose(place(packed, 1, time, 1), own.velocity(time), atol=1e-9)
        assert place(packed, 0, time, 0) == (1.0, 2.0, 3.0)


def test_a_broken_curve_is_not_kept_clear_of() -> None:
    good, bad = Trajectory.hover((0, 0, 0)), Trajectory.hover((0, np.nan, 0))
    with pytest.raises(DataError, match="trajectory 1 of 2 has numbers that are not finite"):
        pack([good, bad])
    assert len(pack([]).starts) == 0
