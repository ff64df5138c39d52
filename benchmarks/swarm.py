"""Swarm: a plan's time, formations that lose vehicles and messages in a forest, a light show, a thousand vehicles.

"peer" is the target of the design, or least squares on the same flight, or Swarm-Formation's graph metric f_s. One
core. Flights are those of recipes/robots/formation_120.yaml, each seed in a forest of its own, and formation_1000.yaml.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

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

RECIPES = Path(__file__).parents[1] / "recipes" / "robots"
DENSE = 80
"""Poles, of the density of the reference's scene: 60 on 34 x 15 m."""
F1, PLACES_M = 0.95, 0.1
PLAN_MS, TAIL_MS, PLAN_1000_MS, PLACES_1000_MS = 15.0, 40.0, 60.0, 20.0
ERROR, SHARE, DRAGGED = 0.6, 0.98, 0.6
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


def in_forest(seed: int, poles: int = 27, **changes: Any) -> dict[str, float]:
    """Figures of formation_120, in a forest that is the seed's."""
    world = {**read_layers([RECIPES / "formation_120.yaml"]).data["world"], "poles": poles, "seed": seed + 1}
    return flown("formation_120", seed, world=world, **changes)


def forest(seeds: int) -> list[Row]:
    """120 vehicles, 12 of which freeze; the worst of the seeds."""
    found, dense = [in_forest(seed) for seed in range(seeds)], [in_forest(seed, DENSE) for seed in range(seeds)]
    error, share = max(one["error_percent"] for one in found), min(one["travelled_share"] for one in found)
    touches = sum(one["touches"] for one in found)
    median, tail = max(one["plan_ms_median"] for one in found), max(one["plan_ms_p95"] for one in found)
    seconds = max(one["seconds"] for one in found)
    squares = in_forest(0, planner=planner("least_squares"))["travelled_share"]
    errors = np.array([one["error_percent"] for one in dense])
    way = max(one["error_percent_way"] for one in found), max(one["error_percent_way"] for one in dense)
    near = min(one["least_separation_m"] for one in found)
    clear = min(one["least_clearance_m"] for one in found)
    adrift, alone = (
        sum(one["touches_adrift"] for one in found + dense),
        sum(one["without_slot"] for one in found + dense),
    )
    note = f"least separation {near:.2f} m, least clearance {clear:.2f} m; all touches of those adrift: {adrift:g}"
    close = min(one["least_separation_m"] for one in dense), min(one["least_clearance_m"] for one in dense)
    hurt, low = sum(one["touches"] for one in dense), min(one["travelled_share"] for one in dense)
    return [
        Row("120, a plan, median", median, PLAN_MS, "ms", PLAN_MS / median, must=1.0),
        Row("120, a plan, 95th percentile", tail, TAIL_MS, "ms", TAIL_MS / tail, must=1.0),
        Row(
            f"120, forest, 10% frozen, worst error of {seeds} seeds",
            error,
            ERROR,
            "%",
            ERROR / error,
            must=1.0,
            note=f"over the way {way[0]:.2f}%; healthy without a slot: {alone:g}",
        ),
        Row("  least share of the way", share, SHARE, "", share / SHARE, must=1.0),
        Row("  touches in all", touches, 0.0, "", float(touches == 0), must=1.0, note=note),
        Row("  the way by least squares, dragged", squares, DRAGGED, "", DRAGGED / squares, must=1.0),
        Row("  36 s of flight, simulated", seconds, FLIGHT_S, "s", FLIGHT_S / seconds, must=1.0),
        Row(
            f"120, forest of {DENSE} poles, 10% frozen, worst error of {seeds}",
            float(errors.max()),
            ERROR,
            "%",
            ERROR / float(errors.max()),
            must=1.0,
            note=f"median {np.median(errors):.2f}%; over the way {way[1]:.2f}%",
        ),
        Row(
            "  touches in all",
            hurt,
            0.0,
            "",
            float(hurt == 0),
            1.0,
            note=f"{close[0]:.2f} m apart, clear {close[1]:.2f}",
        ),
        Row("  least share of the way", low, SHARE, "", low / SHARE, must=1.0),
    ]


def lossy(seeds: int) -> list[Row]:
    """The same flights with 150 ms of delay, and 30% of the messages lost."""
    found = [in_forest(seed, comms={"delay_s": 0.15, "loss": 0.3}) for seed in range(seeds)]
    touches, near = sum(one["touches"] for one in found), min(one["least_separation_m"] for one in found)
    error, share = max(one["error_percent"] for one in found), min(one["travelled_share"] for one in found)
    note = f"least separation {near:.2f} m, worst error {error:.2f}%, least share of the way {share:.2f}"
    name = f"120, 10% frozen, 150 ms, 30% lost, touches in {seeds} flights"
    return [Row(name, touches, 0.0, "", float(touches == 0), must=1.0, note=note)]


def show() -> list[Row]:
    """80 vehicles write, make a sphere, write again and come back."""
    found = flown("light_show", 0)
    error, near = found["error_percent_acts"], found["least_separation_m"]
    return [
        Row(
            "80, light show, error of the worst of its formations",
            error,
            ERROR,
            "%",
            ERROR / max(error, 1e-3),
            must=1.0,
        ),
        Row("  touches", found["touches"], 0.0, "", float(found["touches"] == 0), must=1.0, note=f"{near:.2f} m apart"),
    ]


def drawn() -> list[Row]:
    """A film of 120 vehicles for 30 s."""
    recording = simulate(settings("formation_120", seconds=30.0), 0).recording
    with TemporaryDirectory() as folder:
        begun = perf_counter()
        save_flight(recording, Path(folder) / "flight.gif")
        seconds = perf_counter() - begun
    return [Row("120, 30 s as a GIF", seconds, GIF_S, "s", GIF_S / seconds, must=1.0)]


def outliers(seeds: int) -> list[Row]:
    """Registration of 120 that fly along x when some froze, drift, are late or lie; and half or more of them.

    Where up to 30% fail there is no past; where more do, all were well half a second before.
    """
    slots, times, config = formation("grid", 120, 2.0), np.linspace(0.0, 4.0, SAMPLES), RegisterConfig()
    ahead = times[:, None, None] * (1.6, 0.0, 0.0)
    scores, errors, doubts = list[float](), list[float](), list[bool]()
    for seed, share, kind in product(range(seeds), (0.1, 0.2, 0.3, 0.5, 0.6, 0.7), ("freeze", "drift", "late", "lie")):
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
        if share >= 0.5:
            memory = register(well, slots, ages, times - 0.5, spacing_m=2.0, config=config, rng=rng).memory
        found = register(seen, slots, ages, times, spacing_m=2.0, config=config, rng=rng, memory=memory)
        if share >= 0.5:
            doubts.append(found.ambiguous)
            continue
        flagged = ~found.inlier[1:]
        scores.append(2.0 * float((flagged & bad[1:]).sum()) / float(flagged.sum() + bad[1:].sum()))
        errors.append(float(np.linalg.norm(target(found, slots[0]) - (slots[0] + ahead[:, 0]), axis=1).mean()))
    least, most, doubt = min(scores), max(errors), float(np.mean(doubts))
    note = f"{len(scores)} cases; the mean error is {np.mean(errors):.3f} m"
    return [
        Row("120, 10 to 30% fail: least F1 of the flags", least, F1, "", least / F1, must=1.0, note=note),
        Row("  greatest error of its own places", most, PLACES_M, "m", PLACES_M / most, must=1.0),
        Row("  50 to 70% fail: share of cases that are doubted", doubt, 1.0, "", doubt, must=1.0),
    ]


def places() -> list[Row]:
    """Registration alone: the places of one of 1,000 at all moments of the horizon."""
    ms = next(time_plans((1000,), 0.6)).register_ms
    return [Row("1,000, the places alone, median", ms, PLACES_1000_MS, "ms", PLACES_1000_MS / ms, must=1.0)]


def thousand() -> list[Row]:
    """1,000 vehicles for ten seconds."""
    found = flown("formation_1000", 0)
    median, seconds = found["plan_ms_median"], found["seconds"]
    return [
        Row("1,000, a plan, median", median, PLAN_1000_MS, "ms", PLAN_1000_MS / median, must=1.0),
        Row("  touches", found["touches"], 0.0, "", float(found["touches"] == 0), must=1.0),
        Row("  error", found["error_percent"], None, "%", None),
        Row("  10 s of flight, simulated", seconds, FLIGHT_1000_S, "s", FLIGHT_1000_S / seconds, must=1.0),
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

    def of(edges: npt.NDArray[np.bool_] | None) -> Callable[[], None]:
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
        row("120, formation's term of a plan, beside f_s by moments", of(None), repeats, note=note),
        row("  beside f_s over all pairs, compiled", of(~np.eye(n, dtype=np.bool_)), repeats),
        row("  beside f_s over 30% of the pairs, compiled", of(edges), repeats),
        row("  beside f_s in plain dense NumPy", plainly, max(repeats // 20, 5), must=TERM),
    ]


def by_graphs(frozen: bool) -> list[Row]:
    """Flights by the graph metric, beside the same by registration."""
    healthy = {
        method: flown("formation_120", 0, failures=(), seconds=15.0, planner={"method": method})
        for method in ("registration", "graph", "sparse")
    }
    ours, rows = healthy["registration"], []
    for method, name in (("graph", "f_s"), ("sparse", "sparse f_s")):
        peer, must = healthy[method], 1.0 / WORSE if method == "graph" else None
        ratio = peer["error_percent"] / ours["error_percent"]
        rows += [
            Row(f"120, forest, error beside {name}", ours["error_percent"], peer["error_percent"], "%", ratio, must),
            *(
                Row(f"  {what}", ours[key], peer[key], unit, None)
                for what, key, unit in (
                    ("share of the way", "travelled_share", ""),
                    ("a plan, median", "plan_ms_median", "ms"),
                    ("a plan, 95th percentile", "plan_ms_p95", "ms"),
                )
            ),
        ]
    for method in ("graph", "sparse") if frozen else ():
        found = flown("formation_120", 0, planner={"method": method})
        rows += [
            Row(
                f"120, forest, 10% frozen, way by {method}, dragged",
                way := found["travelled_share"],
                DRAGGED,
                "",
                DRAGGED / way,
                1.0,
            ),
            Row("  error", found["error_percent"], None, "%", None),
            Row("  touches", found["touches"], None, "", None),
        ]
    return rows


def main() -> int:
    """Run all, print the table."""
    args = arguments(__doc__ or "").parse_args()
    flown("formation_120", 0, n=7, shape="hexagon", seconds=1.0)
    rows = terms(100 if args.quick else 400) + outliers(1 if args.quick else 10) + by_graphs(frozen=not args.quick)
    rows += forest(1 if args.quick else 10)
    rows += [] if args.quick else lossy(10) + show() + drawn() + places() + thousand()
    return finish("Swarm, beside its targets", rows, args, ("numpy", "scipy", "numba"))


if __name__ == "__main__":
    sys.exit(main())
