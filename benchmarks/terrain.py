"""Terrain: update time against map size and point count, beside an elevation map on the same scans; a whole
cloud and single scans, and what clutter does to them; A*.

"peer" is the target of the design, or the elevation map (a Kalman filter in each cell), which says less: it has no
curvature, no cost and no uncertainty between its cells. One BLAS thread.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter, process_time

import numpy as np
import numpy.typing as npt

from common import Row, arguments, finish
from espalier.core.data import DataRoot
from espalier.robots.terrain import api
from espalier.robots.terrain.clean.survey import survey
from espalier.robots.terrain.cloud.lidar import LidarConfig
from espalier.robots.terrain.compare.outliers import coverage, judge_outliers, with_clutter
from espalier.robots.terrain.compare.protocol import circle, scans_of
from espalier.robots.terrain.compare.revolution import BEAMS, PLACES, Beams, Place, revolution
from espalier.robots.terrain.compare.timing import WARM, time_mapper, usual_scans
from espalier.robots.terrain.config import InducingConfig, MapperConfig, WindowConfig
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.mapper import TraversabilityMapper
from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.scene import KINDS, make_scene

UPDATES = ((5.0, 0.2, 20.0, None), (5.0, 0.1, 40.0, 25.0), (10.0, 0.2, None, None), (10.0, 0.1, None, None))
"""Window, cell, milliseconds that an update must and should take."""
WHOLE_S, WHOLE_POINTS = 5.0, 141_068
ROUTES = ((250, 15.0), (500, 60.0))
IMPORT_S = 0.5
ERROR_M, LETHAL, LOST, SLOWER = 0.1, 5.0, 1.0, 1.2
"""Most that 30% of clutter may do: metres, and percent of cells and of clean points; and the most that the filter may
cost, as times of the same map without it."""

TUNED, BLIND = (0,), (101, 102, 103)
"""Seeds of single scans that the filter was tuned on, and that it was not."""
COARSER = (0.4, 1.0, 2.0)
"""Degrees between azimuths, besides those of the sensors."""
AROUND_M = 12.0
"""A single scan is mapped so far to each side."""


def updates(scans: int) -> list[Row]:
    """How the time grows with cells and with inducing points."""
    drive, rows = usual_scans(scans), []
    points = float(np.mean([len(scan.points) for scan in drive]))
    for size, cell, must, aim in UPDATES:
        found = time_mapper(drive, MapperConfig(window=WindowConfig(size_m=size, cell_m=cell)))
        n = round(size / cell)
        note = ", ".join(f"{name} {ms:.1f}" for name, ms in found.parts.items()) + f"; p95 {found.p95:.1f} ms"
        name = f"update, {size:g} m, {n} x {n} cells, {points:,.0f} points"
        ratio, wished = (must / found.ms, must / aim if aim else None) if must else (None, None)
        rows.append(Row(name, found.ms, must, "ms", ratio, must and 1.0, wished, note=note))
        slower = found.elevation_ms / found.ms
        rows.append(Row(f"  the elevation map, {n} x {n}", found.ms, found.elevation_ms, "ms", slower))
        if must == UPDATES[0][2]:
            rows.append(Row("  its 95th percentile", found.p95, 35.0, "ms", 35.0 / found.p95, 1.0))
    for count in (50, 200, 1000):
        found = time_mapper(drive, MapperConfig(inducing=InducingConfig(count=count)))
        rows.append(Row(f"update, 25 x 25 cells, {count} inducing points", found.ms, None, "ms", None))
    for share in (0.25, 0.5):
        few = [type(scan)(scan.points[:: round(1 / share)], scan.pose, scan.stamp) for scan in drive]
        found = time_mapper(few, MapperConfig())
        rows.append(Row(f"update, 25 x 25 cells, {points * share:,.0f} points", found.ms, None, "ms", None))
    return rows


def filtered_update(scans: int) -> Row:
    """How many times as long an update is with the filter, in processor time, scan by scan in turn."""
    mappers = [TraversabilityMapper(MapperConfig(drop_outliers=drop)) for drop in (True, False)]
    times = np.empty((scans, 2))
    for number, scan in enumerate(usual_scans(scans)):
        for which, mapper in enumerate(mappers):
            begun = process_time()
            mapper.add(scan)
            times[number, which] = process_time() - begun
    on, off = np.median(times[WARM:], axis=0).tolist()
    return _below("update, 25 x 25 cells, filter on / off", on / off, SLOWER, "x")


def whole() -> Row:
    """Seconds for the forest cloud of the data root at 0.1 m, features and all."""
    cloud = api.load(DataRoot.find().file("terrain/forest.pcd"))
    api.build(cloud.points[:5000])
    times = []
    for _ in range(3):
        begun = perf_counter()
        api.build(cloud)
        times.append(perf_counter() - begun)
    seconds = float(np.median(times))
    return Row(f"whole cloud, {len(cloud):,} points, 0.1 m", seconds, WHOLE_S, "s", WHOLE_S / seconds, 1.0)


def clouds(quick: bool) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Clean clouds by name: of the data root, and a generated one of each kind."""
    for name in ("forest", "desert", "vocano"):
        points = api.load(DataRoot.find().file(f"terrain/{name}.pcd")).points
        yield f"{name}.pcd", points[::4] if quick else points
    for kind in KINDS:
        scene = SceneConfig(kind=kind, size_m=12.0, density_per_m2=100.0 if quick else 200.0, seed=7)
        yield f"{kind}, generated", make_scene(scene).cloud.points
    if not quick:
        dense = SceneConfig(kind="rooms", size_m=12.0, density_per_m2=400.0, seed=7)
        yield "rooms, 400 points a square metre", make_scene(dense).cloud.points
        crowns = SceneConfig(kind="forest", size_m=12.0, density_per_m2=200.0, overhangs=True, seed=7)
        yield "forest with crowns", make_scene(crowns).cloud.points


def outliers(quick: bool) -> list[Row]:
    """30% of clutter in the box of each cloud, and in one that is 4 m deeper and 6 m higher; the filter's own cost."""
    rows: list[Row] = []
    cell = 0.2 if quick else 0.1
    for name, points in clouds(quick):
        for below, above in ((0.0, 0.0),) if quick else ((0.0, 0.0), (4.0, 6.0)):
            found = judge_outliers(points, 0.3, below_m=below, above_m=above, cell_m=cell)
            where = "" if not below else ", higher box"
            rows.append(_below(f"{name}{where}: height error", found.error_m, ERROR_M, "m"))
            rows.append(_below("  falsely lethal cells", 100 * found.falsely_lethal, LETHAL, "%"))
            rows.append(_below("  clean points dropped", 100 * found.lost, LOST, "%"))
            note = f"{100 * found.kept:.1f}% of the clutter is left, {len(found.warnings)} warnings"
            rows.append(replace(_below("  time of the map, filter on / off", found.slower, SLOWER, "x"), note=note))
        kept = survey(points, MapperConfig().features.neighbours).kept
        rows.append(_below(f"{name}, clean: points dropped", 100 * (1 - len(kept) / len(points)), LOST, "%"))
        alone = float(np.median([judge_outliers(points, 0.0, cell_m=cell).slower for _ in range(3)]))
        rows.append(_below("  time of the map, filter on / off", alone, SLOWER, "x"))
        share = 100 * coverage(points, cell_m=cell)
        rows.append(Row("  held-out points in the 90% band", share, 90.0, "%", (5.0 - abs(share - 90.0)) / 5.0, 0.0))
    return rows


def single_scans(quick: bool) -> list[Row]:
    """One revolution of each kind of beams in each place, with and without clutter; worst of places and seeds."""
    rows: list[Row] = []
    sensors = {16: BEAMS[16]} if quick else BEAMS
    kinds = [*sensors.values(), *(BEAMS[16]._replace(step=step) for step in (() if quick else COARSER))]
    beams = {f"{kind.number} beams, {kind.step:g} degrees": kind for kind in kinds}
    for seeds, said in ((TUNED, "tuned"), (BLIND[: 1 if quick else None], "blind")):
        for name, kind in beams.items():
            lost = np.array([_lost(revolution(place, kind, seed), seed) for seed in seeds for place in PLACES])
            worst, mean = 100 * lost.max(0), 100 * lost.mean(0)
            note = f"mean {mean[0]:.2f}, {mean[1]:.2f}, {mean[2]:.2f}%; clutter left {mean[3]:.1f}, {mean[4]:.1f}%"
            rows.append(replace(_below(f"{name}, {said}, clean: dropped", worst[0], LOST, "%"), note=note))
            rows.append(_below("  clean points dropped, box", worst[1], LOST, "%"))
            rows.append(_below("  clean points dropped, higher box", worst[2], LOST, "%"))
    for count in sensors:
        maps = [_map_of_scan(BEAMS[count], seed, place) for seed in BLIND[:1] for place in PLACES]
        error, lethal, slower = np.array(maps).T
        note = ", ".join(
            f"{place} {e:.3f} m {100 * share:.1f}%" for place, e, share in zip(PLACES, error, lethal, strict=True)
        )
        rows.append(replace(_below(f"{count} beams, map: height error", error.max(), ERROR_M, "m"), note=note))
        rows.append(_below("  falsely lethal cells", 100 * lethal.max(), LETHAL, "%"))
        rows.append(_below("  time of the map, filter on / off", float(np.median(slower)), SLOWER, "x"))
    return rows


def scans_without_rings() -> list[Row]:
    """Of the simulated lidar, which takes the nearest point of a cloud in each beam; worst of kinds of scenes."""
    lost = []
    for kind in KINDS:
        points = make_scene(SceneConfig(kind=kind, size_m=14.0, density_per_m2=400.0, seed=7)).cloud.points
        scans = scans_of(points, LidarConfig(), circle(points, 3, 0.6), 0)
        lost += [_lost(scan.points, number) for number, scan in enumerate(scans)]
    worst, mean = 100 * np.max(lost, 0), 100 * np.mean(lost, 0)
    note = f"mean {mean[0]:.2f}, {mean[1]:.2f}, {mean[2]:.2f}%; worst clutter left {worst[3]:.1f}, {worst[4]:.1f}%"
    first = replace(_below("simulated scans without rings, clean: dropped", worst[0], LOST, "%"), note=note)
    boxes = (("box", worst[1]), ("higher box", worst[2]))
    return [first, *(_below(f"  clean points dropped, {name}", most, LOST, "%") for name, most in boxes)]


def _lost(points: npt.NDArray[np.float64], seed: int) -> list[float]:
    """Shares of clean points dropped: clean, in clutter, in clutter of a higher box; of the clutter left in both."""
    n, neighbours = len(points), MapperConfig().features.neighbours
    lost, left = [1.0 - len(survey(points, neighbours).kept) / n], []
    for below, above in ((0.0, 0.0), (4.0, 6.0)):
        dirty = with_clutter(points, 0.3, seed, below_m=below, above_m=above)
        kept = survey(dirty, neighbours).kept
        lost.append(1.0 - np.count_nonzero(kept < n) / n)
        left.append(np.count_nonzero(kept >= n) / (len(dirty) - n))
    return lost + left


def _map_of_scan(kind: Beams, seed: int, place: Place) -> tuple[float, float, float]:
    points = revolution(place, kind, seed)
    near = points[(np.abs(points[:, :2]) <= AROUND_M).all(1)]
    found = judge_outliers(near, 0.3, seed=seed, cell_m=0.2)
    return found.error_m, found.falsely_lethal, found.slower


def _below(name: str, ours: float, most: float, unit: str) -> Row:
    """A row of what must not be more than `most`."""
    return Row(name, ours, most, unit, most / max(ours, 1e-3 * most), 1.0)


def routes(repeats: int) -> list[Row]:
    """A* over maps with obstacles, corner to corner, the planning alone and with all that goes before and after."""
    from espalier.robots.terrain.plan.astar import astar
    from espalier.robots.terrain.plan.obstacles import obstacles

    rows = []
    for n, must in ROUTES:
        rng = np.random.default_rng(0)
        cost = np.clip(rng.normal(0.3, 0.1, (n, n)), 0, 0.45)
        for _ in range(n // 5):
            row, col = rng.integers(10, n - 20, 2)
            cost[row : row + rng.integers(2, n // 12), col : col + rng.integers(2, n // 12)] = 1.0
        cost[:20, :20] = cost[-20:, -20:] = 0.1
        layers = {"cost": cost.astype(np.float32), "observed": np.ones((n, n), np.float32)}
        ground, config = TerrainMap(Frame(0.1, 0, 0, n, n), layers), api.PlanConfig()
        around = obstacles(ground, config)
        search, plan = [], []
        for _ in range(repeats + 1):
            begun = perf_counter()
            if astar(around.state, around.toll, (5, 5), (n - 6, n - 6)) is None:
                raise AssertionError("the map of the benchmark has no way through")
            search.append(1000 * (perf_counter() - begun))
            begun = perf_counter()
            api.plan(ground, (0.55, 0.55), (0.1 * n - 0.55, 0.1 * n - 0.55), config)
            plan.append(1000 * (perf_counter() - begun))
        ms = float(np.median(search[1:]))
        rows.append(Row(f"A*, {n} x {n}", ms, must, "ms", must / ms, 1.0))
        rows.append(Row("  with obstacles, smoothing and speeds", float(np.median(plan[1:])), None, "ms", None))
    return rows


def importing() -> Row:
    """Seconds of `from espalier.robots import terrain` in a new process, least of five."""
    code = "import time; t = time.perf_counter(); from espalier.robots import terrain; print(time.perf_counter() - t)"
    run = [sys.executable, "-c", code]
    seconds = min(float(subprocess.run(run, capture_output=True, text=True, check=True).stdout) for _ in range(5))
    return Row("import", seconds, IMPORT_S, "s", IMPORT_S / seconds, 1.0)


def main() -> int:
    """Run all, print the table."""
    args = arguments(__doc__ or "").parse_args()
    rows = [*updates(20 if args.quick else 60), filtered_update(20 if args.quick else 60), whole()]
    rows += [*outliers(args.quick), *single_scans(args.quick), *scans_without_rings()]
    rows += [*routes(5 if args.quick else 21)]
    rows.append(importing())
    return finish("Terrain, beside targets and an elevation map", rows, args, ("numpy", "scipy", "numba"))


if __name__ == "__main__":
    sys.exit(main())
