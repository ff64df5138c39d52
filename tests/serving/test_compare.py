"""Comparisons as runs: what a report shows, and that it is made whatever happens in a simulation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from espalier.cli.main import main
from espalier.core.errors import ConfigError
from espalier.serving import maps
from espalier.serving.averages import Averages
from espalier.serving.compare import scenarios
from espalier.serving.config import CompareConfig
from espalier.serving.sim.scenario import Scenario
from espalier.serving.tables import fairness, goodput, losses, shares, tails, times

ARMS = {"least_tokens": {"policy": "least_tokens"}, "sbs": {"policy": "sbs"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, *words: str, **recipe: Any) -> tuple[Path, dict[str, Any]]:
    """The run folder and its figures."""
    small = {"trace": "constant", "requests": 60, "lengths": {"prompt": 900, "output": 5}}
    whole = {"job": "serving.compare", "name": "tiny", "pools": ["1x2"], "traffic": {"a": small}, "loads": [0.5]}
    whole |= {"seeds": 1, "workers": 1, "arms": ARMS, **recipe}
    (folder / "r.yaml").write_text(json.dumps(whole))
    assert main(["run", "r.yaml", *words]) == 0
    (found,) = (folder / "runs" / "tiny").iterdir()
    return found, json.loads((found / "result.json").read_text())


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_run_of_any_seed_has_its_pictures(folder: Path, seed: int) -> None:
    path, _ = run(folder, f"seed={seed}", seeds=2)
    made = {file.name for file in (path / "artefacts").iterdir()}
    assert made >= {"distribution.svg", "parts.svg", "passes.svg", "ranks.svg", "table.md"}


@pytest.mark.parametrize("dead", [0.1, 1e-6])
def test_a_pool_that_dies_leaves_a_report_that_says_so(folder: Path, dead: float) -> None:
    """At 0.1, some requests finish; right at the beginning, none does."""
    arms = {"least_tokens": ARMS["least_tokens"], "sbs": {"policy": "sbs", "trouble": {"dead": dead}}}
    path, result = run(folder, arms=arms, targets={"ttft": 10.0}, decode={})
    lost = result["sbs: unfinished"]
    assert lost == 60 if dead < 0.1 else 40 < lost < 60
    table = (path / "artefacts" / "table.md").read_text()
    assert ("none finished" if dead < 0.1 else f", {lost} unfinished") in table
    assert ("sbs vs least_tokens: at worst" in result) == (lost < 60)


def test_arms_of_like_names_do_not_share_a_result(folder: Path) -> None:
    """One of them dies; by the names of their files they used to be one."""
    arms = {
        "a b": {"policy": "sbs", "trouble": {"slow": 3.0}},
        "a_b": {"policy": "sbs"},
        "a/b": {"policy": "sbs", "trouble": {"slow": 9.0}},
    }
    path, _ = run(folder, arms=arms, baselines=["a_b"])
    files = [json.loads(file.read_text()) for file in (path / "checkpoints" / "simulations").iterdir()]
    means = {one["arm"]: one["ttft_mean"] for one in files}
    assert means["a_b"] * 2.5 < means["a b"] < means["a/b"] / 2


def test_decoding_and_its_targets_are_in_the_report(folder: Path) -> None:
    path, _ = run(folder, decode={"ranks": 2}, targets={"ttft": 2.0, "tpot": 0.05}, loads=[0.2, 0.5])
    report = (path / "report.json").read_text()
    for words in ("After the first token", "TPOT p99", "output tokens/s", "further tokens within 0.05 s", "Fairness"):
        assert words in report


def test_targets_of_decoding_need_decoding() -> None:
    with pytest.raises(ConfigError, match=r"targets\.tpot needs the section `decode`"):
        CompareConfig.of(targets={"tpot": 0.1})


def found(**arms: dict[str, Any]) -> tuple[CompareConfig, Averages]:
    """Averages of one setting, each arm with these figures."""
    usual = dict.fromkeys(("ttft_p50", "ttft_p90", "held", "queued", "utilisation", "imbalance"), 1.0)
    config = CompareConfig.of(
        arms={name: {"policy": "random" if name == "random" else "sbs"} for name in arms},
        baselines=["one", "two"],
        seeds=1,
        targets={"ttft": 1.0, "share": 0.9},
    )
    return config, Averages(
        {Scenario("1x1", "t", 0.5, name, 0): {**usual, "unfinished": 0, **given} for name, given in arms.items()}
    )


def test_where_holding_loses_names_mean_and_tail_against_every_baseline() -> None:
    """Better than `one` in both; worse than `two` in the tail, better in the mean. `random` does not hold."""
    config, averages = found(
        random={"ttft_mean": 9.0, "ttft_p99": 9.0},
        one={"ttft_mean": 2.0, "ttft_p99": 4.0},
        two={"ttft_mean": 2.0, "ttft_p99": 2.0},
        held={"ttft_mean": 1.0, "ttft_p99": 3.0},
    )
    assert losses(config, averages).rows == [["1x1", "t", "0.5", "held", "two", -50.0, 50.0, 0]]


def test_who_finishes_less_loses_even_if_those_who_do_are_quick() -> None:
    usual = {"ttft_mean": 2.0, "ttft_p99": 4.0}
    config, averages = found(one=usual, two=usual, held={"ttft_mean": 1.0, "ttft_p99": 1.0, "unfinished": 7})
    assert [row[-1] for row in losses(config, averages).rows] == [7, 7]
    assert times(config, averages).rows[0][-1] == "1.000 (-50%, -50%), 7 unfinished"
    assert [row[-1] for row in tails(config, averages).rows] == [0, 0, 7]
    config, averages = found(one=usual, two=usual, held=usual)
    assert losses(config, averages).rows[0][0] == "nowhere"


def test_shares_goodput_and_fairness() -> None:
    arms = {
        name: {"ttft_mean": 1.0, "ttft_p99": 1.0, "good": good, "fairness": [1.0, 2.0, 3.0, 4.0]}
        for name, good in (("one", 0.5), ("two", 0.9), ("held", 1.0))
    }
    config, averages = found(**arms)
    assert shares(config, averages).rows == [["1x1", "t", "0.5", 50.0, 90.0, 100.0]]
    assert goodput(config, averages).rows == [["1x1", "t", None, 0.5, 0.5]]
    assert fairness(config, averages).rows[0] == ["1x1", "t", "0.5", "one", 1.0, 2.0, 3.0, 4.0]


def test_averages_are_over_seeds() -> None:
    config = CompareConfig.of(seeds=2, loads=[0.5], arms={"sbs": {"policy": "sbs"}})
    first, second = scenarios(config, 3)
    assert (first.seed, second.seed) == (3, 4)
    averages = Averages({first: {"x": 1.0, "y": [1.0, 5.0], "n": 2}, second: {"x": 3.0, "y": [3.0, 7.0], "n": 3}})
    (setting,) = averages.settings
    assert averages.of(setting, "sbs", "x") == 2.0
    assert averages.list_of(setting, "sbs", "y") == [2.0, 6.0]
    assert averages.total(setting, "sbs", "n") == 5


@pytest.mark.parametrize("values", [{"pools": []}, {"loads": []}, {"traffic": {}}, {"arms": {}}])
def test_an_empty_comparison_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(values))}|baselines"):
        CompareConfig.of(**values)


def test_a_map_of_traffics_and_loads_by_hand() -> None:
    """Means of 2 s against 4 s are -50%, those of 3 s against 2 s +50%; p99 by itself."""
    arms = {"least_tokens": {"policy": "least_tokens"}, "sbs": {"policy": "sbs"}}
    traffic = {"short": {"trace": "constant"}, "long": {"trace": "constant"}}
    config = CompareConfig.of(pools=["1x2"], traffic=traffic, loads=[0.5, 0.9], seeds=1, arms=arms)
    seconds = {
        "short": {"least_tokens": (4.0, 2.0), "sbs": (2.0, 3.0)},
        "long": {"least_tokens": (1.0, 1.0), "sbs": (1.0, 0.9)},
    }
    results = {
        Scenario("1x2", name, load, arm, 0): {"ttft_mean": times[arm][k], "ttft_p99": 1.0}
        for name, times in seconds.items()
        for k, load in enumerate(config.loads)
        for arm in arms
    }
    ranges, mean, p99 = maps.tables(config, Averages(results))
    assert ranges.columns == ["traffic", "sbs, mean", "sbs, p99"]
    assert ranges.rows == [["short", "-50 to +50%", "+0 to +0%"], ["long", "-10 to +0%", "+0 to +0%"]]
    assert mean.columns == ["pool", "traffic", "policy", "0.5", "0.9"]
    assert mean.rows == [["1x2", "short", "sbs", "-50%", "+50%"], ["1x2", "long", "sbs", "+0%", "-10%"]]
    assert [row[3:] for row in p99.rows] == [["+0%", "+0%"]] * 2
    narrow = CompareConfig.of(pools=["1x2"], traffic={"short": traffic["short"]}, loads=[0.5, 0.9], arms=arms)
    assert list(maps.tables(narrow, Averages(results))) == []


def test_a_report_has_its_map_and_says_what_was_cut(folder: Path) -> None:
    """Constant prompts of 900 tokens, once as they are and once cut to 600: a third of their tokens is left out."""
    small = {"trace": "constant", "requests": 60, "lengths": {"prompt": 900, "output": 5}}
    path, result = run(folder, traffic={"whole": small, "short": {**small, "cap": 600}}, loads=[0.5, 0.8])
    assert result["short: tokens left out (cap)"] == pytest.approx(1 / 3)
    assert "whole: tokens left out (cap)" not in result
    assert (
        "1 of 1 prompts were longer than `cap` and cut: 300 tokens, 33.3% of all" in (path / "report.html").read_text()
    )
    assert (path / "artefacts" / "map_1x2.svg").stat().st_size > 1000
    table = (path / "artefacts" / "map.md").read_text()
    assert table.count("| 1x2 | whole | sbs |") == table.count("| 1x2 | short | sbs |") == 2
