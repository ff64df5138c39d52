import json
from pathlib import Path
from typing import Any

import pytest

from espalier.core.errors import RunError
from espalier.core.report import blocks as b
from espalier.core.report.build import page
from espalier.core.report.compare import comparison
from espalier.core.run.run import Run

EVIL = "</script><script>alert(1)</script>"


def make(root: Path, name: str, *, rate: float, values: list[float], keys: str, figures: dict[str, float]) -> Path:
    run = Run.create(root, job="toy.train", name=name, config={"rate": rate, "same": 1, "only": {name: EVIL}})
    for step, value in enumerate(values, 1):
        run.metrics.log(step, {"reward": value, name: 1.0, "hidden": -value})
    passages = [b.Passage("user", [EVIL]), b.Passage("assistant", [name])]
    samples = {"before": [b.Sample("old", passages)], "after": [b.Sample(key, passages, correct=True) for key in keys]}
    with run:
        run.report([b.Curves("Reward", ["reward"]), b.Curves("Own", [name, "hidden"]), b.Samples("Samples", samples)])
        run.finish(figures)
    return run.path


@pytest.fixture
def shown(tmp_path: Path) -> dict[str, Any]:
    one = make(tmp_path, "one", rate=0.1, values=[1.0, 2.0], keys="ab", figures={"accuracy": 0.25, "x": 1.0})
    two = make(tmp_path, "two", rate=0.2, values=[3.0], keys="bc", figures={"accuracy": 0.75})
    return comparison([one, two])


def block(shown: dict[str, Any], title: str) -> dict[str, Any]:
    (found,) = [one for one in shown["blocks"] if one["title"] == title]
    return dict(found)


def test_curves_lie_over_each_other_in_the_colour_of_their_run(shown: dict[str, Any]) -> None:
    assert shown["runs"] == ["one", "two"]
    series = block(shown, "Reward")["series"]
    assert [(one["label"], one["colour"], one["values"]) for one in series] == [("one", 0, [1, 2]), ("two", 1, [3])]
    assert [one["label"] for one in block(shown, "Own: two")["series"]] == ["two"]
    assert [run for run, _, _ in shown["metrics"]["series"]["hidden"]] == [0, 1]
    axes = shown["metrics"]["axes"]
    assert [axes[axis][0] for _, axis, _ in shown["metrics"]["series"]["hidden"]] == [[1, 2], [1]]


def test_results_have_their_differences_and_settings_those_that_differ(shown: dict[str, Any]) -> None:
    results = block(shown, "Results")
    assert results["columns"] == ["figure", "one", "two", "two − one"]
    assert results["rows"][:2] == [["accuracy", 0.25, 0.75, 0.5], ["x", 1.0, None, None]]
    assert block(shown, "Settings that differ")["rows"] == [
        ["rate", "0.1", "0.2"],
        ["only.one", EVIL, "not set"],
        ["only.two", "not set", EVIL],
    ]


def test_samples_of_the_same_problem_stand_side_by_side_and_first(shown: dict[str, Any]) -> None:
    beside = block(shown, "Samples side by side")
    assert [[s["key"] for s in one["samples"]] for one in beside["sets"]] == [["b", "a"], ["b", "c"]]
    html = page(shown)
    assert EVIL not in html
    assert json.loads(html.partition('id="content">')[2].partition("</script>")[0]) == shown


def test_one_run_or_the_same_twice_is_no_comparison(tmp_path: Path) -> None:
    path = make(tmp_path, "one", rate=0.1, values=[], keys="", figures={})
    for paths in ([path], [path, path]):
        with pytest.raises(RunError, match="two different runs"):
            comparison(paths)


def test_runs_of_one_name_are_told_apart_by_their_time(tmp_path: Path) -> None:
    first = make(tmp_path, "one", rate=0.1, values=[1.0], keys="a", figures={})
    second = make(tmp_path, "one", rate=0.1, values=[1.0], keys="a", figures={})
    shown = comparison([first, second])
    assert shown["runs"] == [first.name, second.name]
    assert block(shown, "Settings that differ")["note"] == "The runs have the same settings."
