"""A robot that maps, plans and drives: it arrives, it goes around what is put in its way, and it can be repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.core.run.run import Run
from espalier.robots.terrain.drive.boxes import Boxes
from espalier.robots.terrain.drive.config import DriveConfig, Obstacle
from espalier.robots.terrain.drive.job import drive
from espalier.robots.terrain.drive.simulate import Driven, simulate
from espalier.robots.terrain.ground import Ground

BOX = Obstacle(x_m=0.0, y_m=0.0, side_m=0.8, from_s=1.0, to_s=60.0)


def level(n: int = 40_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-5, 5, (n, 3)) * (1, 1, 0.002)


def driven(*obstacles: Obstacle, seed: int = 0, **more: object) -> Driven:
    settings = {"start": (-3.0, 0.0, 0.0), "goal": (3.0, 0.0), "seconds": 40.0, **more}
    return simulate(DriveConfig.of(obstacles=obstacles, **settings), level(), seed)


def test_on_level_ground_it_drives_straight() -> None:
    found = driven()
    assert found.reached
    assert found.length_m < 6.3
    assert np.abs(found.path[:, 1]).max() < 0.3
    assert found.navigator.blocked == 0


def test_it_goes_around_a_box_that_was_put_in_its_way() -> None:
    found = driven(BOX)
    assert found.reached
    assert found.navigator.blocked >= 1, "the way it had planned was no longer free"
    assert found.clearance_m >= 0.25, "of its middle; its radius is 0.25"
    assert np.abs(found.path[:, 1]).max() > 0.5
    again = driven(BOX)
    np.testing.assert_array_equal(again.path, found.path)
    assert not np.array_equal(driven(BOX, seed=1).path[:50], found.path[:50])


def test_where_there_is_no_way_it_waits_and_does_not_run_into_anything() -> None:
    wall = tuple(Obstacle(x_m=0.0, y_m=y, side_m=1.05, to_s=15.0) for y in np.arange(-6.0, 6.1, 1.0))
    found = driven(*wall, seconds=12.0)
    assert not found.reached
    assert found.clearance_m >= 0.25
    assert driven(*wall, seconds=60.0).reached, "once the wall has gone it drives on"


def test_boxes_hide_the_ground_below_and_can_be_seen() -> None:
    boxes = Boxes(Ground(level()), (BOX,))
    assert len(boxes.points(0.0)) == 40_000
    there = boxes.points(2.0)
    inside = (np.abs(there[:, :2]) < 0.39).all(1)
    assert there[inside, 2].min() > 0.75, "only its top"
    assert boxes.clearance(1.0, 0.0, 2.0) == pytest.approx(0.6)
    assert boxes.clearance(0.1, 0.0, 2.0) == 0.0
    assert boxes.clearance(0.1, 0.0, 0.0) == np.inf


@pytest.mark.data
def test_the_job_leaves_a_film_a_report_and_the_map_in_every_format(tmp_path: Path) -> None:
    config = DriveConfig.of(start=(-4.0, -4.0, 0.8), goal=(-2.0, -2.5), seconds=20.0)
    with Run.create(tmp_path, job="robots.drive", name="drive", data=DataRoot.find()) as run:
        figures = drive(config, run)
        run.finish(figures)
    assert figures["reached"] == 1.0
    assert figures["true_cost_most"] < 0.8
    made = {file.name for file in (run.path / "artefacts").iterdir()}
    assert made >= {"drive.gif", "map.png", "map.tif", "map.npz", "map.yaml", "map.pgm", "map.json", "route.csv"}
    page = (run.path / "report.html").read_text()
    assert "data:image/gif;base64," in page
    assert "Where an update" in page


@pytest.mark.data
def test_a_goal_beside_the_ground_is_said(tmp_path: Path) -> None:
    run = Run.create(tmp_path, job="robots.drive", name="drive", data=DataRoot.find())
    with run, pytest.raises(ConfigError, match=r"goal \(99.0, 0.0\) is not on the ground: x -6"):
        drive(DriveConfig.of(goal=(99.0, 0.0)), run)


@pytest.mark.parametrize(("start", "goal"), [((-4.9, 0.0, 3.14), (3.0, 0.0)), ((0.0, 0.0, 0.0), (0.0, 0.0))])
def test_drives_that_end_at_once_or_begin_at_the_border(start: tuple[float, ...], goal: tuple[float, ...]) -> None:
    config = DriveConfig.of(start=start, goal=goal, seconds=0.04)
    found = simulate(config, level(), 0)
    assert found.path.shape[0] <= 2
    assert np.abs(simulate(config.model_copy(update={"seconds": 3.0}), level(), 0).path[:, :2]).max() <= 5.0
