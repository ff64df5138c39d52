"""Flights for people: films, stills, tables, and what is wrong with a file."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from pictures import coloured
from PIL import Image

from espalier.core.errors import ConfigError, DataError, MissingExtraError
from espalier.core.run.run import Run
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.job import fly
from espalier.robots.swarm.fleet.recording import Recording
from espalier.robots.swarm.show.film import film, moments, still
from espalier.robots.swarm.show.save import Look, save_flight
from espalier.robots.swarm.world.shapes import Pole
from espalier.robots.swarm.world.world import World

TEAL, RED = (11, 122, 117), (215, 38, 61)
VIEWS = ("top", "front", "side", "3d")


def recorded(positions: np.ndarray, struck: np.ndarray | None = None, world: World | None = None) -> Recording:
    """Of positions (t, n, 3), 0.1 s apart; the formation is where they begin."""
    steps, n, _ = positions.shape
    slots = np.nan_to_num(positions[0] - positions[0].mean(0))[None]
    return Recording(
        0.1 * np.arange(steps),
        positions,
        np.tile(np.arange(n), (steps, 1)),
        np.zeros(steps, np.int64),
        slots,
        np.zeros((1, 3)),
        np.zeros((steps, n), np.bool_) if struck is None else struck,
        np.zeros((steps, n), np.bool_),
        world or World.of_solids([], (-20, -20, 0), (20, 20, 6), 1.0),
    )


@pytest.fixture
def recording() -> Recording:
    """Four that fly along x for 2 s; the last is struck after one, the third gone then."""
    begin = np.array([[0.0, 0, 2], [0, 4, 2], [0, 8, 2], [0, 12, 2]])
    positions = begin + np.arange(21)[:, None, None] * [0.2, 0.0, 0.0]
    struck = np.zeros((21, 4), np.bool_)
    struck[10:, 2:] = True
    positions[10:, 2] = np.nan
    return recorded(positions, struck)


def test_pictures_are_a_time_apart_and_never_closer_than_the_flight(recording: Recording) -> None:
    steps, every = moments(recording, 0.5)
    assert (steps.tolist(), every) == ([0, 5, 10, 15, 20], 0.5)
    assert moments(recording, 0.25)[0].tolist() in ([0, 3, 5, 8, 10, 13, 15, 18, 20], [0, 2, 5, 7, 10, 12, 15, 17, 20])
    steps, every = moments(recording, 0.01)
    assert steps.tolist() == list(range(21))
    assert every == pytest.approx(0.1)
    assert moments(recorded(np.zeros((1, 2, 3))), 0.2)[0].tolist() == [0]


@pytest.mark.parametrize("view", VIEWS)
def test_a_film_shows_who_is_struck_and_who_is_gone(recording: Recording, view: str) -> None:
    before, after = film(recording, np.full(21, np.nan), [5, 15], view)
    assert before.shape == after.shape
    assert before.dtype == np.uint8
    assert not len(coloured(before, RED))
    assert len(coloured(after, RED)) >= 4
    if view != "front":  # from there all are in line
        assert len(coloured(after, TEAL)) < len(coloured(before, TEAL)), "two of four are left"


def test_a_film_starts_anew_at_each_picture(recording: Recording) -> None:
    error = np.zeros(21)
    one = next(film(recording, error, [12], "3d"))
    np.testing.assert_array_equal(one, list(film(recording, error, [3, 12], "3d"))[1])


def test_trails_are_of_two_seconds_or_of_all(recording: Recording) -> None:
    positions = np.array([[[0.0, 0, 2], [0, 5, 2]]]) + np.arange(81)[:, None, None] * [0.2, 0.0, 0.0]
    long = recorded(positions)
    short, whole = (still(long, np.zeros(81), 8.0, "top", trail_s=one) for one in (2.0, np.inf))
    lines = [coloured(one[:, : one.shape[1] // 2], (133, 188, 186)) for one in (short, whole)]
    assert len(lines[0]) < 10 < 200 < len(lines[1])


def test_vehicles_behind_an_obstacle_are_pale() -> None:
    positions = np.tile(np.array([[0.0, 3, 2], [6, 3, 2]]), (2, 1, 1))
    worlds = [World.of_solids(solids, (-9, -9, 0), (9, 9, 4), 0.1) for solids in ([], [Pole(0, 0, 0.8, 0, 4)])]
    free, hid = (len(coloured(still(recorded(positions, world=one), np.zeros(2), 0, "front"), TEAL)) for one in worlds)
    assert free / 3 < hid < 2 * free / 3


@pytest.mark.parametrize("view", VIEWS)
def test_nobody_healthy_and_nobody_there(view: str) -> None:
    struck = np.ones((3, 2), np.bool_)
    for positions in (np.zeros((3, 2, 3)), np.full((3, 2, 3), np.nan)):
        assert len(list(film(recorded(positions, struck), np.full(3, np.nan), [0, 2], view))) == 2


def test_a_flight_to_every_format_and_back(recording: Recording, tmp_path: Path) -> None:
    """4 vehicles, 2 s: 5 frames at 0.5 s, a row for each vehicle and time, and an archive that loads as it was."""
    for name in ("a.gif", "new/a.mp4", "a.png", "a.csv"):
        assert save_flight(recording, tmp_path / name, Look(every_s=0.5)) == tmp_path / name
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 5
        assert gif.info["duration"] == 500
        assert len(coloured(np.asarray(gif.convert("RGB")), TEAL))
    assert b"ftyp" in (tmp_path / "new" / "a.mp4").read_bytes()[:12]
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [*rows[0]] == ["time", "vehicle", "x", "y", "z", "vx", "vy", "vz", "act", "slot", "struck"]
    assert len(rows) == 5 * 4
    assert rows[4 * 1 + 3] == {
        "time": "0.500", "vehicle": "3", "x": "1.0000", "y": "12.0000", "z": "2.0000", "vx": "2.0000", "vy": "0.0000",
        "vz": "0.0000", "act": "0", "slot": "3", "struck": "0",
    }  # fmt: skip
    assert [rows[4 * 2 + 2][key] for key in ("x", "y", "z", "struck")] == ["", "", "", "1"]
    again = Recording.load(save_flight(recording, tmp_path / "new" / "a.npz"))
    np.testing.assert_array_equal(again.positions, recording.positions)
    save_flight(recording, tmp_path / "all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 1 + 21 * 4
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "a.gif", "a.png", "all.csv", "new"]


def test_a_still_is_of_its_time(recording: Recording, tmp_path: Path) -> None:
    last, early = (
        np.asarray(Image.open(save_flight(recording, tmp_path / "a.png", Look(at_s=at)))) for at in (None, 0.3)
    )
    assert len(coloured(last, RED))
    assert not len(coloured(early, RED))
    with pytest.raises(DataError, match=r"b.png: 2.5 s is not in the flight, which lasts from 0 to 2 s"):
        save_flight(recording, tmp_path / "b.png", Look(at_s=2.5))
    with pytest.raises(DataError, match=r"b.txt: a flight cannot be written as that"):
        save_flight(recording, tmp_path / "b.txt")
    quick = recorded(np.tile(np.array([[0.0, 0, 0], [1, 0, 0]]), (30, 1, 1)))
    quick = Recording(**{**vars(quick), "times": quick.times / 10.0})
    with pytest.raises(DataError, match=r"b.gif: 100 frames a second"):
        save_flight(quick, tmp_path / "b.gif", Look(every_s=0.01))


def test_without_rerun_its_extra_is_named(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(MissingExtraError, match=r"rerun-sdk.*espalier\[viewer\]"):
        save_flight(recording, tmp_path / "a.rrd")
    assert not list(tmp_path.iterdir())


def test_rerun_is_told_who_is_where(recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for rerun that writes down what it is told."""
    told: list[tuple[float, str, SimpleNamespace]] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.now = -1.0

        def save(self, file: Path) -> None:
            file.write_text("kept")

        def set_time(self, timeline: str, *, duration: float) -> None:
            self.now = duration

        def log(self, name: str, what: SimpleNamespace, *, static: bool = False) -> None:
            told.append((self.now, name, what))

        flush = disconnect = lambda self: None

    rerun = ModuleType("rerun")
    rerun.RecordingStream = Stream
    rerun.Points3D = lambda points, **look: SimpleNamespace(points=points, **look)
    monkeypatch.setitem(sys.modules, "rerun", rerun)
    save_flight(recording, tmp_path / "a.rrd", Look(every_s=0.5))
    assert (tmp_path / "a.rrd").read_text() == "kept"
    assert [(at, name) for at, name, _ in told] == [
        (-1.0, "obstacles"), *((at, "vehicles") for at in (0.0, 0.5, 1.0, 1.5, 2.0))
    ]  # fmt: skip
    assert told[-1][2].keypoint_ids.tolist() == [0, 1, 3]
    assert told[-1][2].colors.tolist() == [list(TEAL), list(TEAL), list(RED)]
    np.testing.assert_allclose(told[2][2].points, recording.positions[5])


def test_the_job_films_from_where_it_is_told(tmp_path: Path) -> None:
    values = {"n": 4, "shape": {"kind": "text", "words": "I"}, "start": (0, 0, 6), "goal": (2, 0, 6), "seconds": 0.6}
    sizes = {}
    for view in ("auto", "front", "top"):
        config = FlightConfig.of(**values, film_view=view, film_mp4=view == "auto")
        with Run.create(tmp_path, job="robots.flight", name=view) as run:
            run.finish(fly(config, run))
        names = {file.name for file in (run.path / "artefacts").iterdir()}
        assert names == {"flight.gif", "flight.npz"} | ({"flight.mp4"} if view == "auto" else set())
        with Image.open(run.path / "artefacts" / "flight.gif") as gif:
            sizes[view] = gif.size
            assert gif.n_frames == 4
    assert sizes["auto"] == sizes["front"] != sizes["top"]
    with pytest.raises(ConfigError, match="film_view"):
        FlightConfig.of(film_view="back")


def test_importing_the_configs_is_light() -> None:
    code = "import espalier.robots.jobs, sys; from espalier.robots.swarm.fleet.config import FlightConfig; "
    code += "print(sorted({'matplotlib', 'PIL', 'rerun'} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
