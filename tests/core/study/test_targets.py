"""Verdicts by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from espalier.core.errors import ConfigError
from espalier.core.study.config import StudyConfig
from espalier.core.study.targets import CellResult, Row, judge

ARMS: dict[str, Any] = {"ours": {}, "base": {}, "shuffled": {}}


def study(claims: dict[str, Any], controls: dict[str, Any] | None = None, **more: Any) -> StudyConfig:
    given = controls or {"control": {"arm": "shuffled", "against": "base"}}
    return StudyConfig.of(arms=ARMS, claims=claims, controls=given, **more)


def cells(cpu: float = 100.0, **values: list[float]) -> list[CellResult]:
    return [
        CellResult(arm, seed, value, 10 * value, cpu, "")
        for arm, some in values.items()
        for seed, value in enumerate(some)
    ]


def verdicts(rows: list[Row]) -> dict[str, str]:
    return {row.name: row.verdict for row in rows}


BASE = [0.5, 0.6, 0.7, 0.5, 0.6]
NOISE = [0.52, 0.57, 0.71, 0.49, 0.61]
"""BASE +0.02, -0.03, +0.01, -0.01, +0.01: mean 0, s = 0.02, the interval ±2.776 * 0.02 / sqrt(5) = ±0.0248."""
BETTER = [0.6, 0.72, 0.81, 0.59, 0.7]
"""BASE +0.1, +0.12, +0.11, +0.09, +0.1."""
CLAIM = {"better": {"arm": "ours", "against": "base"}}


def test_an_interval_above_the_target_passes_with_five_seeds() -> None:
    claim, control = judge(study(CLAIM), cells(ours=BETTER, base=BASE, shuffled=NOISE))
    # mean 0.104, s = 0.0114018, t(0.975, 4) = 2.776445
    reach = 2.776445 * 0.0114018 / 5**0.5
    assert (claim.value, claim.low, claim.high) == pytest.approx((0.104, 0.104 - reach, 0.104 + reach), rel=1e-5)
    assert (claim.kind, claim.target, claim.seeds, claim.verdict) == ("claim", 0.0, 5, "PASS")
    assert (control.kind, control.verdict) == ("control", "PASS")
    assert (control.low, control.high) == pytest.approx((-0.0248333, 0.0248333), rel=1e-4)


def test_fewer_than_five_seeds_can_only_indicate() -> None:
    rows = judge(study(CLAIM), cells(ours=BETTER[:4], base=BASE[:4], shuffled=NOISE[:4]))
    assert verdicts(rows) == {"better": "INDICATION", "control": "INDICATION"}


def test_cheap_cells_need_ten_seeds() -> None:
    found = {"ours": BETTER, "base": BASE, "shuffled": NOISE}
    assert verdicts(judge(study(CLAIM), cells(60.0, **found)))["better"] == "INDICATION"
    twice = {arm: 2 * values for arm, values in found.items()}
    assert verdicts(judge(study(CLAIM), cells(60.0, **twice)))["better"] == "PASS"


def test_an_interval_that_holds_the_target_is_a_miss() -> None:
    rows = judge(study({"better": {**CLAIM["better"], "target": 0.1}}), cells(ours=BETTER, base=BASE, shuffled=NOISE))
    assert verdicts(rows) == {"better": "MISS", "control": "PASS"}


def test_a_control_that_shows_the_effect_turns_its_claims_into_misses() -> None:
    claims = {**CLAIM, "other": {"arm": "ours"}}
    found = cells(ours=BETTER, base=BASE, shuffled=BETTER)
    assert set(verdicts(judge(study(claims), found)).values()) == {"MISS"}
    controls = {"control": {"arm": "shuffled", "against": "base", "guards": ["better"]}}
    assert verdicts(judge(study(claims, controls), found)) == {"better": "MISS", "other": "PASS", "control": "MISS"}


def test_not_lower_allows_one_point() -> None:
    claim = {"as good": {"arm": "ours", "against": "base", "expect": "not_lower"}}
    little = [value - 0.005 + 0.001 * (k % 2) for k, value in enumerate(BASE)]
    (row, _) = judge(study(claim), cells(ours=little, base=BASE, shuffled=NOISE))
    assert (row.target, row.verdict) == (-0.01, "PASS")
    (row, _) = judge(study(claim), cells(ours=NOISE, base=BASE, shuffled=NOISE))  # equal in the mean, but not surely
    assert row.verdict == "MISS"
    (row, _) = judge(study({"x": {**claim["as good"], "target": -0.03}}), cells(ours=NOISE, base=BASE, shuffled=NOISE))
    assert row.verdict == "PASS"


def test_lower_costs_relative_to_the_other_arm() -> None:
    claim = {
        "cheaper": {
            "arm": "ours",
            "against": "base",
            "quantity": "tokens",
            "relative": True,
            "expect": "lower",
            "target": -0.1,
        }
    }
    cheap = [0.8 * value for value in BASE]
    cheap[0] *= 1.01
    (row, _) = judge(study(claim), cells(ours=cheap, base=BASE, shuffled=NOISE))
    assert row.value == pytest.approx(-0.2 + 0.008 / 5)
    assert row.verdict == "PASS"
    (row, _) = judge(study(claim), cells(ours=BETTER, base=BASE, shuffled=NOISE))
    assert row.verdict == "MISS"


def test_a_claim_about_a_further_measure() -> None:
    claims = {"greedy too": {"arm": "ours", "against": "base", "quantity": "greedy"}}
    found = [
        replace(cell, others={"greedy": 1.0 - cell.value}) for cell in cells(ours=BETTER, base=BASE, shuffled=NOISE)
    ]
    config = study(claims, measures={"greedy": {"measure": "greedy_after", "minus": "greedy_before"}})
    (row, _) = judge(config, found)
    assert row.value == pytest.approx(sum(BASE) / len(BASE) - sum(BETTER) / len(BETTER))
    assert row.verdict == "MISS"


def test_one_seed_has_no_interval() -> None:
    (row, _) = judge(study(CLAIM), cells(ours=[0.6], base=[0.5], shuffled=[0.4]))
    assert (row.low, row.high, row.seeds, row.verdict) == (None, None, 1, "INDICATION")


def test_claims_about_arms_that_do_not_run_are_left_out() -> None:
    rows = judge(study(CLAIM, {"control": {"arm": "shuffled"}}, only=["shuffled"]), cells(shuffled=[-0.1, -0.2]))
    assert verdicts(rows) == {"control": "INDICATION"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claims": {"x": {"arm": "our"}}}, "claims.x: 'our' is not an arm; did you mean 'ours'"),
        ({"controls": {}}, "a study has at least one"),
        ({"controls": {"c": {"arm": "base", "guards": ["y"]}}}, "'y' is not a claim"),
        ({"only": ["nothing"]}, "only: 'nothing' is not an arm"),
        ({"arms": {"../x": {}}}, "begins with a letter"),
        ({"arms": {"warm_start": {}}}, "give the arm another name"),
        ({"measures": {"tokens": {"measure": "x"}}}, "measures.tokens: every cell has a number of that name"),
        ({"claims": {"x": {"arm": "ours", "quantity": "tokns"}}}, "'tokns' is not a quantity; did you mean 'tokens'"),
        ({"budget": 3.0}, "name a metric, as eval/avg:last"),
        ({"claims": {"x": {"arm": "ours", "relative": True}}}, "set against"),
    ],
)
def test_a_study_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {"arms": ARMS, "claims": CLAIM, "controls": {"c": {"arm": "shuffled"}}}
    with pytest.raises(ConfigError, match=message):
        StudyConfig.of(**whole | change)
