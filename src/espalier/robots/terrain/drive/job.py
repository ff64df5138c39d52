"""The job `robots.drive`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from espalier.core.errors import ConfigError
from espalier.core.report.blocks import Block, Curves, Image, Number, Table, Timing
from espalier.core.run.run import Run
from espalier.robots.animate import save_animation
from espalier.robots.terrain.compare.truth import Truth, truth
from espalier.robots.terrain.drive.config import DriveConfig
from espalier.robots.terrain.drive.film import Film, Picture
from espalier.robots.terrain.drive.simulate import Driven, Moment, simulate
from espalier.robots.terrain.export.png import save_picture
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.ground import ground_of
from espalier.robots.terrain.stream import Tally


def drive(config: DriveConfig, run: Run) -> dict[str, float]:
    """Drive, film it, and leave the map in every format. A drive of seconds is repeated rather than resumed."""
    points = ground_of(config.ground, run.data).points
    cell = config.mapper.window.cell_m
    frame = Frame.covering(points[:, :2].min(0), points[:, :2].max(0), cell)
    for name, place in (("start", config.start), ("goal", config.goal)):
        if not frame.inside(frame.cells(np.array([place[:2]])))[0]:
            x0, y0, x1, y1 = frame.bounds
            raise ConfigError(f"{name} {place[:2]} is not on the ground: x {x0:g} to {x1:g}, y {y0:g} to {y1:g} m")
    right = truth(points, frame, config.mapper.cost)
    if run.resumed:
        run.metrics.rewind(0)
    pictures: list[Picture] = []
    tally = Tally()
    film = Film(config, right)
    whole = int(np.hypot(*(np.array(config.goal) - config.start[:2])) * 100)
    with run.progress(whole, "cm to go") as progress:

        def watch(moment: Moment) -> bool:
            """Draws and logs a scan; False to stop."""
            tally.add(moment.update)
            scan = round(moment.seconds * config.lidar.rate_hz)
            if scan % config.gif_every == 0:
                pictures.append(film(moment))
            left = float(np.hypot(*(np.array(config.goal) - moment.pose[:2])))
            known = float(np.isfinite(moment.update.map["cost"]).mean())
            figures = {"update/ms": moment.update.total_ms, "map/known": known, "drive/to_goal_m": left}
            times = {f"time/{name}": ms / 1000.0 for name, ms in moment.update.ms.items()}
            run.metrics.log(scan + 1, {**figures, **times})
            progress.update(max(whole - int(100 * left), 0), {"ms": moment.update.total_ms})
            return not run.stop.requested

        driven = simulate(config, points, run.seed, watch)
    if run.stop.requested:
        return {}
    figures = _figures(config, driven, right)
    _write(run, driven, pictures, config)
    run.report(_blocks(figures, driven, tally))
    return figures


def _figures(config: DriveConfig, driven: Driven, right: Truth) -> dict[str, float]:
    cells = right.frame.cells(driven.path[:, :2])
    costs = right.cost[cells[:, 0], cells[:, 1]]
    known = driven.mapper.map(right.frame)["cost"]
    way = max(float(np.hypot(*(np.array(config.goal) - config.start[:2]))), right.frame.cell_m)
    return {
        "reached": float(driven.reached),
        "drive_seconds": driven.seconds,
        "length_m": driven.length_m,
        "length_over_straight": driven.length_m / way,
        "plans": float(driven.navigator.plans),
        "plans_as_blocked": float(driven.navigator.blocked),
        "of_these_by_a_box": float(driven.by_box),
        "waits": float(driven.navigator.waits),
        "least_clearance_m": min(driven.clearance_m, 99.0),
        "update_ms_median": float(np.median(driven.update_ms)),
        "update_ms_p95": float(np.quantile(driven.update_ms, 0.95)),
        "plan_ms_median": float(np.median(driven.navigator.ms or [np.nan])),
        "true_cost_mean": float(np.nanmean(costs)),
        "true_cost_most": float(np.nanmax(costs)),
        "map_error": float(np.nanmean(np.abs(known - right.cost))),
    }


def _write(run: Run, driven: Driven, pictures: list[Picture], config: DriveConfig) -> None:
    ground = driven.mapper.map()
    save_animation(pictures, run.artefact("drive.gif"), config.gif_fps)
    save_picture(ground, run.artefact("map.png"), route=driven.path)
    for name in ("map.tif", "map.npz", "map.yaml", "map.json"):
        ground.save(run.artefact(name))
    if driven.navigator.route is not None:
        driven.navigator.route.save(run.artefact("route.csv"))
        driven.navigator.route.save(run.artefact("route.geojson"))


def _blocks(figures: Mapping[str, float], driven: Driven, tally: Tally) -> list[Block]:
    rows: list[list[str | Number]] = [[name.replace("_", " "), value] for name, value in figures.items()]
    left_out: list[list[str | Number]] = [[why, count] for why, count in tally.dropped.items() if count]
    return [
        Image("The drive", "artefacts/drive.gif", wide=True, note="white: the route; blue: the path; red: goal, boxes"),
        Table("Figures", ["", "value"], rows),
        Table("Points left out", ["why", "points"], [*left_out, *tally.doubts()]),
        Image("The map that is left", "artefacts/map.png", wide=True),
        Curves("Milliseconds of an update", ["update/ms"]),
        Curves("Metres to the goal", ["drive/to_goal_m"]),
        Timing("Where an update's time goes"),
    ]
