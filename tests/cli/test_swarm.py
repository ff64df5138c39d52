"""`espalier swarm`, as it is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from espalier.cli.main import main

RECIPE = """
job: robots.flight
name: few
n: 5
shape: hexagon
start: [0, 0, 1.5]
goal: [2, 0, 1.5]
seconds: 5.0
failures:
  - {kind: freeze, share: 0.2, at_s: 0.5}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a recipe, and runs of it."""
    folder = tmp_path_factory.mktemp("swarm")
    (folder / "few.yaml").write_text(RECIPE)
    words = ["--runs-dir", str(folder / "runs"), "film_every_s=0.5", "goal=[4, 0, 1.5]"]
    assert main(["run", str(folder / "few.yaml"), *words]) == 0
    return folder


@pytest.fixture
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def test_a_flight_and_all_that_is_rendered_of_it(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = (there / "runs" / "few").glob("[!.]*")
    assert (run / "report.html").is_file()
    assert "film_every_s: 0.5" in (run / "config.yaml").read_text()
    names = ["out/f.gif", "out/f.mp4", "out/f.png", "out/f.csv"]
    words = [word for name in names for word in ("--out", name)]
    for source in ("runs/few", str(run), str(run / "artefacts" / "flight.npz")):
        assert main(["swarm", "render", source, *words, "--view", "3d", "--every", "1", "--at", "0.3"]) == 0
        said = capsys.readouterr().out
        assert "5 vehicles, 5.0 s, 1 failed" in said
        assert all(f"flight: {name}" in said for name in names)
        assert all(Path(name).stat().st_size > 100 for name in names)
        assert len(Path("out/f.csv").read_text().splitlines()) == 1 + 6 * 5
        for name in names:
            Path(name).unlink()


def test_what_is_asked_for_changes_the_picture(there: Path) -> None:
    asked = {
        "plain": [],
        "same": ["--view", "top", "--at", "5"],
        "front": ["--view", "front"],
        "early": ["--at", "0.2"],
        "whole": ["--whole"],
    }
    pictures = {}
    for name, words in asked.items():
        assert main(["swarm", "render", "runs/few", "--out", f"{name}.png", *words]) == 0
        pictures[name] = np.asarray(Image.open(f"{name}.png"))
    np.testing.assert_array_equal(pictures["plain"], pictures["same"])
    assert pictures["front"].shape != pictures["plain"].shape
    assert (pictures["early"] != pictures["plain"]).any()
    assert (pictures["plain"] != pictures["whole"]).any()


def test_the_slots_of_formations(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--n", "20", "--spacing", "1.5", "--style", "fill"]
    assert main(["swarm", "formation", "text:AB", *words, "--out", "a.npy", "--out", "a.json", "--out", "a.png"]) == 0
    said = capsys.readouterr().out
    slots = np.load("a.npy")
    x, _, z = np.ptp(slots, axis=0)
    assert f"20 slots, {x:.2f} x 0.00 x {z:.2f} m, the two nearest 1.50 m apart" in said
    assert "formation: a.json" in said
    assert json.loads(Path("a.json").read_text())["slots"] == slots.tolist()
    assert main(["swarm", "formation", "hexagon", "--out", "b.csv"]) == 0
    assert "37 slots, 12.00 x 10.39 x 0.00 m, the two nearest 2.00 m apart" in capsys.readouterr().out
    Image.fromarray(np.pad(np.zeros((9, 9), np.uint8), 4, constant_values=255)).save("square.png")
    assert main(["swarm", "formation", "image:square.png", "--n", "9", "--out", "c.csv"]) == 0
    assert "9 slots" in capsys.readouterr().out


def test_names_that_are_written_twice_to_keep_the_start_quick_are_the_same() -> None:
    """Neither the command line nor the reading of a recipe imports SciPy and Numba."""
    from espalier.cli.commands.swarm import VIEWS
    from espalier.robots import swarm
    from espalier.robots.swarm import api
    from espalier.robots.swarm.fleet.config import View

    assert {"auto", *get_args(View)} == set(VIEWS)
    assert set(api.__all__) == set(swarm._PUBLIC)


def test_how_long_a_plan_takes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each number of vehicles: milliseconds of plans, registrations, looks and reading."""
    from espalier.robots.swarm.compare import timing

    real = timing.time_plans
    monkeypatch.setattr(timing, "time_plans", lambda: real((6, 8), 1.0))
    assert main(["swarm", "bench"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for n, line in zip((6, 8), lines, strict=True):
        parts = (
            rf"{n} vehicles: a plan NUMBER ms, p95 NUMBER; a registration alone NUMBER",
            "a safety check NUMBER",
            rf"reading a message of each other vehicle NUMBER \({n} plans\)",
        )
        pattern = ", ".join(parts).replace("NUMBER", r"[\d.]+")
        assert re.fullmatch(pattern, line)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rendr"], "cannot 'rendr'; did you mean 'render'"),
        (["run", "few.yaml"], "cannot 'run'; there is bench, formation, render"),
        (["bench", "x=1"], "usage: espalier swarm bench"),
        (["bench", "--out", "a.csv"], "bench has no --out: it is of espalier swarm render and"),
        (["render", "runs/few"], "usage: espalier swarm render"),
        (["render", "--out", "a.gif"], "usage: espalier swarm render"),
        (["render", "runs/few", "runs/few", "--out", "a.gif"], "usage: espalier swarm render"),
        (["formation", "cube"], "usage: espalier swarm formation"),
        (["formation", "cube", "--out", "a.png", "--view", "top"], "formation has no --view: it is of .* render"),
        (["formation", "cube", "--out", "a.png", "--whole"], "formation has no --whole"),
        (["render", "runs/few", "--out", "a.png", "--n", "9"], "render has no --n: it is of espalier swarm formation"),
        (["bench", "--at", "0"], "bench has no --at"),
        (["bench", "--spacing", "1"], "bench has no --spacing"),
        (["render", "none", "--out", "a.gif", "--out", "a.giff"], "a.giff: a flight cannot .* did you mean '.gif'"),
        (["render", "none.npz", "--out", "a.gif"], "there is no file none.npz"),
        (["render", "none", "--out", "a.gif"], "there is no run 'none' in runs; there is few"),
        (["render", "empty", "--out", "a.gif"], "empty has no artefacts/flight.npz: it is no finished run of"),
        (["render", "damaged.npz", "--out", "a.gif"], "damaged.npz cannot be read as NPZ"),
        (["render", "spoilt.npz", "--out", "a.gif"], "spoilt.npz cannot be read as NPZ"),
        (["render", "other.npz", "--out", "a.gif"], "other.npz holds no flight"),
        (["render", "x", "--out", "a.gif", "--out", "a.csv", "--at", "7"], "--at is of .png files, and there is none"),
        (["render", "x", "--out", "a.png", "--every", "1"], "--every is of .gif and .mp4 and .csv and .rrd files"),
        (["render", "x", "--out", "a.csv", "--whole"], "--whole is of .gif and .mp4 and .png files"),
        (["render", "x", "--out", "a.csv", "--out", "a.npz", "--view", "top"], "--view is of .gif and .mp4 and .png"),
        (["render", "runs/few", "--out", "a.png", "--at", "7"], "a.png: 7 s is not in the flight"),
        (["formation", "hexagn", "--out", "a.csv"], "'hexagn'; did you mean 'hexagon'"),
        (["formation", "none:", "--out", "a.svg"], "a.svg: a formation cannot be written as that"),
        (["formation", "cube", "--n", "0", "--out", "a.csv"], "at least one slot, not 0"),
        (["formation", "cube", "--style", "fill", "--out", "a.csv"], "'cube' has no style"),
        (["formation", "cube", "--spacing", "0", "--out", "a.csv"], "--spacing 0: neighbours are some way apart"),
        (["formation", "image:none.png", "--out", "a.csv"], "none.png"),
        (["formation", "mesh:none.stl", "--out", "a.csv"], "none.stl"),
        (["formation", "text: ", "--out", "a.csv"], "nothing to see of the text"),
    ],
)
def test_what_is_wrong_is_named(
    words: list[str], message: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake of the words, of an option or of a file: one line of error that says which, and no file is left."""
    flight = next((there / "runs" / "few").glob("[!.]*")) / "artefacts" / "flight.npz"
    whole = flight.read_bytes()
    Path("damaged.npz").write_bytes(whole[:-200])
    Path("spoilt.npz").write_bytes(whole[:400] + bytes(400) + whole[800:])
    np.savez("other.npz", x=np.zeros(3))
    Path("empty").mkdir(exist_ok=True)
    Path("empty/config.yaml").touch()
    for file in there.glob("a.*"):
        file.unlink()
    assert main(["swarm", *words]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(there.glob("a.*")), "nothing is written, in part or whole"


@pytest.mark.parametrize("words", [["--every", "-1"], ["--at", "soon"], ["--view", "back"], ["--spacing", "inf"]])
def test_what_is_no_number_is_not_taken(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["swarm", "render", "x", *words])
    assert words[1] in capsys.readouterr().err
