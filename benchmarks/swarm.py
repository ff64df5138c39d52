"""Swarm: a plan's time, formations that lose vehicles and messages in a forest, a light show, a thousand vehicles.

"peer" is the target of the design, or least squares on the same flight, or Swarm-Formation's graph metric f_s. One
core. Flights are those of robots/formation_120, each seed in a forest of its own, and robots/formation_1000.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from common import Row, arguments, finish, paired
from espalier.core.recipe.layers import read_layers
from espalier.robots.swarm.compare.config import planner
from espalier.robots.swarm.compare.timing import time_plans
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.figures import figures
from espalier.robots.swarm.fleet.simulate import simulate
from espalier.robots.swarm.formation.library import formation
from espalier.robots.swarm.register.config import RegisterConfig
from espalier.robots.swarm.register.spatiotemporal import register, target
from espalier.robots.swarm.show.save import save_flight
from espalier.robots.swarm.traj.graph_metric import Graph, graph, random_edges, shape_error, wanted

RECIPES = Path(__file__).parents[1] / "src" / "espalier" / "recipes" / "robots"
POLES, DENSE = 27, 80
"""Poles of the recipe's forest; and of the density of the reference's scene: 60 on 34 x 15 m."""
F1, PLACES_M = 0.95, 0.1
PLAN_MS, TAIL_MS, PLAN_1000_MS, PLACES_1000_MS = 15.0, 40.0, 60.0, 20.0
ERROR, SHARE, DRAGGED = 0.6, 0.98, 0.6
BEYOND = "1 s"
"""Of delay: more than a stop takes, so that nothing is promised."""
FLIGHT_S, FLIGHT_1000_S, GIF_S = 60.0, 300.0, 60.0
TERM, WORSE = 20.0, 1.2
ITERATIONS, SAMPLES = 20, 20
Floats = npt.NDArray[np.float64]


def settings(recipe: str, **changes: Any) -> FlightConfig:
    """Those of a recipe, but for some."""
    values = read_layers([RECIPES / f"{recipe}.yaml"]).data
    return FlightConfig.of(**{**{k: v for k, v in values.items() if k not in ("job", "name")}, **changes})


def flown(recipe: str, seed: int, **changes: Any) -> dict[str, float]:
    """Figures of a recipe's flight, and the seconds that it took."""
    config, begun = settings(recipe, **changes), perf_counter()
    flight = simulate(config, seed)
    return {**figures(flight), "seconds": perf_counter() - begun}


def in_forest(seed: int, poles: int = POLES, **changes: Any) -> dict[str, float]:
    """Figures of formation_120, in a forest that is the seed's."""
    world = {**read_layers([RECIPES / "formation_120.yaml"]).data["world"], "poles": poles, "seed": seed + 1}
    return flown("formation_120", seed, world=world, **changes)


def most(name: str, values: Iterable[float], limit: float, unit: str = "", note: str = "") -> Row:
    """The greatest, which must not be more than the limit."""
    worst = float(np.max(list(values)))
    return Row(name, worst, limit, unit, limit / max(worst, limit / 1000.0), must=1.0, note=note)


def least(name: str, values: Iterable[float], limit: float, unit: str = "", note: str = "") -> Row:
    """The least, which must not be less than the limit."""
    worst = float(np.min(list(values)))
    return Row(name, worst, limit, unit, worst / limit, must=1.0, note=note)


def none(name: str, values: Iterable[float], note: str = "") -> Row:
    """All of them together, which must be nothing."""
    total = float(np.sum(list(values)))
    return Row(name, total, 0.0, "", float(total == 0.0), must=1.0, note=note)


def told(name: str, value: float, unit: str = "", note: str = "") -> Row:
    """A figure without a target."""
    return Row(name, float(value), None, unit, None, note=note)


def of(found: list[dict[str, float]], figure: str) -> list[float]:
    """One figure of some flights."""
    return [one[figure] for one in found]


def kept(name: str, found: list[dict[str, float]]) -> list[Row]:
    """What formations that lose vehicles must show, all flights by their worst."""
    touches, errors = of(found, "touches"), of(found, "error_percent")
    near, clear = min(of(found, "least_separation_m")), min(of(found, "least_clearance_m"))
    apart = f"{near:.2f} m apart, {clear:.2f} m clear; of those adrift: {sum(of(found, 'touches_adrift')):g}"
    return [
        most(f"{name}, worst error of {len(found)}", errors, ERROR, "%", f"median {np.median(errors):.2f}%"),
        most("  over the way", of(found, "error_percent_way"), ERROR, "%"),
        told("  least scale", min(of(found, "scale_least"))),
        least("  least share of the way", of(found, "travelled_share"), SHARE),
        least("  of the vehicle with the least", of(found, "travelled_least"), SHARE),
        none("  touches", touches, apart),
        none("  healthy without a slot", of(found, "without_slot")),
        least("  success", of(found, "success"), 1.0),
    ]


def forest(seeds: int) -> list[Row]:
    """120 vehicles, 12 of which freeze, in forests of two densities."""
    found, crowded = ([in_forest(seed, poles) for seed in range(seeds)] for poles in (POLES, DENSE))
    return [
        most("120, a plan, median", of(found, "plan_ms_median"), PLAN_MS, "ms"),
        most("120, a plan, 95th percentile", of(found, "plan_ms_p95"), TAIL_MS, "ms"),
        most("120, 36 s of flight, simulated", of(found, "seconds"), FLIGHT_S, "s"),
        *kept(f"120, {POLES} poles, 10% frozen", found),
        *kept(f"120, {DENSE} poles, 10% frozen", crowded),
    ]


def dragged(seeds: int) -> list[Row]:
    """The first of those flights by least squares: with its own rule for the stalled it is freed late, without it,
    never; and without it by the registration.
    """
    ways = {
        name: of([in_forest(seed, planner=how) for seed in range(seeds)], "travelled_share")
        for name, how in (
            ("least squares, none goes on alone", planner("least_squares")),
            ("least squares, the stalled go on alone", {"register_by": {"method": "least_squares"}}),
            ("registration, none goes on alone", {"stall_s": None}),
        )
    }
    first, second, third = ways
    return [
        most(f"120, {POLES} poles, most of the way by {first}", ways[first], DRAGGED, note=f"{seeds} seeds"),
        told(f"  by {second}", max(ways[second])),
        least(f"  least by {third}", ways[third], SHARE),
    ]


def lossy(seeds: int) -> list[Row]:
    """The same flights where messages come late and some are lost; and 20 that change formation where more are."""
    found = [in_forest(seed, comms={"delay_s": 0.15, "loss": 0.3}) for seed in range(seeds)]
    rows = kept("120, 10% frozen, 150 ms, 30% lost", found)
    change: dict[str, Any] = {
        "n": 20,
        "shape": "sphere",
        "spacing_m": 1.5,
        "start": (-8.0, 0.0, 6.0),
        "goal": (-8.0, 0.0, 6.0),
        "seconds": 14.0,
        "world": {"kind": "open", "length_m": 60, "width_m": 44, "height_m": 14},
        "acts": [{"at_s": 1.0, "shape": "cube", "spacing_m": 1.5, "goal": (8.0, 0.0, 6.0)}],
    }
    for name, comms in (
        ("300 ms, half lost, 4 m of range", {"delay_s": 0.3, "loss": 0.5, "range_m": 4.0}),
        (BEYOND, {"delay_s": 1.0}),
    ):
        flights = [figures(simulate(FlightConfig.of(**change, comms=comms), seed)) for seed in range(2 * seeds)]
        note = f"{min(of(flights, 'least_separation_m')):.2f} m apart"
        title, touches = f"20, sphere to cube, {name}, touches in {2 * seeds}", of(flights, "touches")
        rows.append(told(title, sum(touches), note=note) if name == BEYOND else none(title, touches, note))
    return rows


def show() -> list[Row]:
    """80 vehicles write, make a sphere, write again and come back; two fail meanwhile and can fly again."""
    found = [flown("light_show", 0)]
    near = found[0]["least_separation_m"]
    return [
        most("80, light show, error of the worst of its formations", of(found, "error_percent_acts"), ERROR, "%"),
        least("  at their places when each had its time, least share", of(found, "arrived_acts"), 1.0),
        least("  rejoined of those that can fly again", of(found, "rejoined_share"), 1.0),
        none("  touches", of(found, "touches"), f"{near:.2f} m apart"),
    ]


def drawn() -> list[Row]:
    """A film of 120 vehicles for 30 s."""
    recording = simulate(settings("formation_120", seconds=30.0), 0).recording
    with TemporaryDirectory() as folder:
        begun = perf_counter()
        save_flight(recording, Path(folder) / "flight.gif")
        seconds = perf_counter() - begun
    return [most("120, 30 s as a GIF", [seconds], GIF_S, "s")]


class Judged(NamedTuple):
    """Of one registration. f1: of the flags. error_m: of its own places. doubted: whether it doubts itself."""

    share: float
    kind: str
    past: bool
    f1: float
    error_m: float
    doubted: bool


def judged(seed: int, share: float, kind: str, past: bool) -> Judged:
    """Registration of 120 that fly along x when some froze, drift, are late or lie. past: all were well 0.5 s ago."""
    slots, times, config = formation("grid", 120, 2.0), np.linspace(0.0, 4.0, SAMPLES), RegisterConfig()
    ahead = times[:, None, None] * (1.6, 0.0, 0.0)
    rng = np.random.default_rng(seed)
    well = slots + ahead + 0.05 * rng.normal(size=slots.shape)
    bad = rng.permutation(120) < round(share * 120)
    bad[0] = False
    way = 0.4 * rng.normal(size=slots.shape) * times[:, None, None] + 3.0 * rng.normal(size=slots.shape)
    wrong = {
        "freeze": well[:1] - (2.0, 0.0, 0.0),
        "drift": well[:1] + way,
        "late": well - (3.2, 0.0, 0.0),
        "lie": well + 8.0 * rng.normal(size=slots.shape),
    }[kind]
    seen, ages, memory = np.where(bad[:, None], wrong, well), np.full(120, 0.1), None
    well[:, 0], seen[:, 0], ages[0] = np.nan, np.nan, np.inf
    if past:
        memory = register(well, slots, ages, times - 0.5, spacing_m=2.0, config=config, rng=rng).memory
    found = register(seen, slots, ages, times, spacing_m=2.0, config=config, rng=rng, memory=memory)
    flagged = ~found.inlier[1:]
    f1 = 2.0 * float((flagged & bad[1:]).sum()) / float(flagged.sum() + bad[1:].sum())
    error_m = float(np.linalg.norm(target(found, slots[0]) - (slots[0] + ahead[:, 0]), axis=1).mean())
    return Judged(share, kind, past, f1, error_m, found.ambiguous)


def outliers(seeds: int) -> list[Row]:
    """Up to 30% fail, without a past; half of them or more, with one, and without."""
    kinds = ("freeze", "drift", "late", "lie")
    few = [judged(*one, False) for one in product(range(seeds), (0.1, 0.2, 0.3), kinds)]
    many = [judged(*one) for one in product(range(seeds), (0.5, 0.6, 0.7), kinds, (True, False))]
    known, unknown = [one for one in many if one.past], [one for one in many if not one.past]
    note = f"{len(few)} cases; the mean error is {np.mean([one.error_m for one in few]):.3f} m"
    believed = [one for one in unknown if not one.doubted]
    wrong = [one for one in believed if one.error_m > PLACES_M]
    what = ", ".join(sorted({f"{one.share:.0%} {one.kind}" for one in wrong}))
    return [
        least("120, 10 to 30% fail: least F1 of the flags", [one.f1 for one in few], F1, note=note),
        most("  greatest error of its own places", [one.error_m for one in few], PLACES_M, "m"),
        none("  cases that are doubted", [float(one.doubted) for one in few]),
        least("  50 to 70% fail: doubted, of all cases", [float(np.mean([one.doubted for one in known]))], 1.0),
        told("    greatest error of its own places", max(one.error_m for one in known), "m"),
        told(
            "  without a past: doubted, of all cases",
            float(np.mean([one.doubted for one in unknown])),
            note=f"of the {len(believed)} that are not, {len(wrong)} are wrong, by up to "
            f"{max((one.error_m for one in wrong), default=0.0):.1f} m: {what}",
        ),
    ]


def parts() -> list[Row]:
    """What one of 1,000 does beside planning, and how long its places take alone."""
    one = next(time_plans((1000,), 0.6))
    return [
        most("1,000, the places alone, median", [one.register_ms], PLACES_1000_MS, "ms"),
        told("1,000, a look at the news, median", one.look_ms, "ms"),
        told("1,000, the messages of all others read", one.read_ms, "ms"),
    ]


def thousand() -> list[Row]:
    """1,000 vehicles for ten seconds."""
    found = [flown("formation_1000", 0)]
    return [
        most("1,000, a plan, median", of(found, "plan_ms_median"), PLAN_1000_MS, "ms"),
        none("  touches", of(found, "touches")),
        told("  error", found[0]["error_percent"], "%"),
        most("  10 s of flight, simulated", of(found, "seconds"), FLIGHT_1000_S, "s"),
    ]


@njit(cache=True)
def near_places(points: Floats, path: Floats, iterations: int) -> float:
    """The squared distance to places (k, 3) with its gradient, at a path (k, 3), again and again."""
    cost, pull = 0.0, np.empty(3)
    for _ in range(iterations):
        for k in range(len(path)):
            for x in range(3):
                away = path[k, x] - points[k, x]
                cost += away**2
                pull[x] = 2.0 * away
            cost += 1e-12 * pull[0]
    return cost


@njit(cache=True)
def in_shape(shape: Graph, path: Floats, iterations: int) -> float:
    """The same of f_s."""
    cost, pull = 0.0, np.empty(3)
    for _ in range(iterations):
        for k in range(len(path)):
            cost += shape_error(shape, k, path[k], pull) + 1e-12 * pull[0]
    return cost


def dense(positions: Floats, desired: Floats) -> tuple[float, Floats]:
    """f_s of (n, 3), where desired is D^-1/2 A D^-1/2 of the slots, with its gradient by the last, plainly written."""
    lengths = ((positions[:, None] - positions) ** 2).sum(2)
    degrees = lengths.sum(1)
    root = 1.0 / np.sqrt(degrees)
    off = lengths * root[:, None] * root - desired
    by_degree = -2.0 * (off * lengths * root[:, None] * root).sum(1) / degrees
    by_length = 4.0 * off[-1] * root * root[-1] + by_degree + by_degree[-1]
    return float((off**2).sum()), 2.0 * (by_length[:, None] * (positions[-1] - positions)).sum(0)


def terms(repeats: int) -> list[Row]:
    """The formation's term in one plan of one of 120, over all samples and iterations, by registration and by f_s."""
    rng, n = np.random.default_rng(0), 120
    slots, times, edges = formation("grid", n, 2.0), np.linspace(0.0, 4.0, SAMPLES), random_edges(n, 0.3, rng)
    everybody = slots + 1.5 * times[:, None, None] * (1.0, 0, 0) + 0.05 * rng.normal(size=(SAMPLES, n, 3))
    others, path = np.ascontiguousarray(everybody[:, :-1]), np.ascontiguousarray(everybody[:, -1])
    heard, ages = everybody.copy(), np.full(n, 0.1)
    heard[:, -1], ages[-1] = np.nan, np.inf
    config, lengths = RegisterConfig(), ((slots[:, None] - slots) ** 2).sum(2)
    desired = lengths / np.sqrt(lengths.sum(1)[:, None] * lengths.sum(1))
    memory = register(heard, slots, ages, times, spacing_m=2.0, config=config, rng=rng).memory

    def registered() -> None:
        found = register(heard, slots, ages, times, spacing_m=2.0, config=config, rng=rng, memory=memory)
        near_places(target(found, slots[-1]), path, ITERATIONS)

    def by(edges: npt.NDArray[np.bool_] | None) -> Callable[[], None]:
        def work() -> None:
            in_shape(graph(times, others, wanted(slots[-1], slots[:-1], edges)), path, ITERATIONS)

        return work

    def plainly() -> None:
        for _ in range(ITERATIONS):
            for k in range(SAMPLES):
                dense(everybody[k], desired)

    value, pull = dense(everybody[3], desired)
    mine = np.empty(3)
    assert np.isclose(shape_error(graph(times, others, wanted(slots[-1], slots[:-1])), 3, path[3], mine), value)
    assert np.allclose(mine, pull, rtol=1e-6)

    def ms(work: Callable[[], None]) -> Callable[[], float]:
        def timed() -> float:
            begun = perf_counter()
            work()
            return 1000.0 * (perf_counter() - begun)

        return timed

    def row(name: str, peer: Callable[[], None], times: int, **more: Any) -> Row:
        return paired(name, ms(registered), ms(peer), unit="ms", repeats=times, higher_is_better=False, **more)

    note = "ours is registration, peer f_s. Moments are ours: exact, O(N). The target was set beside dense NumPy"
    return [
        row("120, formation's term of a plan, beside f_s by moments", by(None), repeats, note=note),
        row("  beside f_s over all pairs, compiled", by(~np.eye(n, dtype=np.bool_)), repeats),
        row("  beside f_s over 30% of the pairs, compiled", by(edges), repeats),
        row("  beside f_s in plain dense NumPy", plainly, max(repeats // 20, 5), must=TERM),
    ]


def by_graphs(seeds: int) -> list[Row]:
    """Whole flights by the graph metric beside the same by registration, nobody failing; and with 10% frozen."""
    healthy = {
        method: [in_forest(seed, failures=(), planner={"method": method}) for seed in range(seeds)]
        for method in ("registration", "graph", "sparse")
    }
    ours, rows = healthy["registration"], list[Row]()
    for method, name in (("graph", "f_s"), ("sparse", "sparse f_s")):
        peer, must = healthy[method], 1.0 / WORSE if method == "graph" else None
        for what, figure in (("", "error_percent"), (" over the way", "error_percent_way")):
            mine, theirs = max(of(ours, figure)), max(of(peer, figure))
            title = f"120, {POLES} poles, worst error{what} of {seeds}, beside {name}"
            rows.append(Row(title, mine, theirs, "%", theirs / mine, must))
        for what, figure, unit, worst in (
            ("least share of the way", "travelled_share", "", min),
            ("touches", "touches", "", sum),
            ("a plan, median", "plan_ms_median", "ms", max),
            ("a plan, 95th percentile", "plan_ms_p95", "ms", max),
        ):
            rows.append(Row(f"  {what}", float(worst(of(ours, figure))), float(worst(of(peer, figure))), unit, None))
    for method in ("graph", "sparse"):
        frozen = [in_forest(0, planner={"method": method})]
        rows += [
            most(f"120, {POLES} poles, 10% frozen, way by {method}, dragged", of(frozen, "travelled_share"), DRAGGED),
            told("  error", frozen[0]["error_percent"], "%"),
            told("  touches", frozen[0]["touches"]),
        ]
    return rows


def main() -> int:
    """Run all, print the table."""
    args = arguments(__doc__ or "").parse_args()
    flown("formation_120", 0, n=7, shape="hexagon", seconds=1.0)
    if args.quick:
        rows = terms(100) + outliers(1) + forest(1)
    else:
        rows = terms(400) + outliers(10) + by_graphs(2) + dragged(2) + forest(10) + lossy(10)
        rows += show() + drawn() + parts() + thousand()
    return finish("Swarm, beside its targets", rows, args, ("numpy", "scipy", "numba"))


if __name__ == "__main__":
    sys.exit(main())
