"""From cells to verdicts: PASS, INDICATION (too few seeds to say more) or MISS.

The rules are those of the house: 5 seeds for a PASS, 10 where a cell of the arms costs 60 s or less; a control that
shows the effect turns the claims that it guards into MISS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from espalier.core.study.config import Claim, Control, StudyConfig
from espalier.core.study.stats import Estimate, estimate, paired_by_seed

Verdict = Literal["PASS", "INDICATION", "MISS"]
LEAST = 5
"""Seeds for a PASS."""
LEAST_CHEAP, CHEAP_S = 10, 60.0
"""Seeds for a PASS where a cell takes no more CPU seconds than this."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """What one cell gave. tokens: spent, None where its job counts none. others: those of `measures`."""

    arm: str
    seed: int
    value: float
    tokens: float | None
    cpu_seconds: float | None
    config_hash: str
    others: dict[str, float] = field(default_factory=dict)

    def number(self, quantity: str) -> float:
        """The number of that name. Raises ValueError where the job does not count it."""
        own = {"value": self.value, "tokens": self.tokens, "cpu_seconds": self.cpu_seconds} | self.others
        found = own.get(quantity)
        if found is None:
            raise ValueError(f"the job of arm {self.arm!r} does not count {quantity}")
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """A claim or a control, with what was found: mean, 95% interval (None with one seed) and verdict."""

    name: str
    kind: Literal["claim", "control"]
    value: float
    low: float | None
    high: float | None
    target: float
    seeds: int
    verdict: Verdict


def judge(config: StudyConfig, cells: Sequence[CellResult]) -> list[Row]:
    """A row for each claim and control of the arms that run."""
    rows = [_row(name, claim, cells) for name, claim in config.statements()]
    shown = {row.name for row in rows if row.kind == "control" and row.verdict == "MISS"}
    spoiled = {claim for name in shown for claim in (config.controls[name].guards or config.claims)}
    return [replace(row, verdict="MISS") if row.kind == "claim" and row.name in spoiled else row for row in rows]


def _row(name: str, claim: Claim, cells: Sequence[CellResult]) -> Row:
    found = _estimate(claim, cells)
    control = isinstance(claim, Control)
    enough = found.n >= needed([cell for cell in cells if cell.arm in (claim.arm, claim.against)])
    good = holds(claim, found) != control
    verdict: Verdict = "MISS" if not good else "PASS" if enough else "INDICATION"
    kind: Literal["claim", "control"] = "control" if control else "claim"
    return Row(name, kind, found.value, found.low, found.high, claim.border, found.n, verdict)


def _estimate(claim: Claim, cells: Sequence[CellResult]) -> Estimate:
    values = _by_seed(claim, claim.arm, cells)
    if claim.against is None:
        return estimate([values[seed] for seed in sorted(values)])
    return paired_by_seed(values, _by_seed(claim, claim.against, cells), relative=claim.relative)


def _by_seed(claim: Claim, arm: str, cells: Sequence[CellResult]) -> dict[int, float]:
    return {cell.seed: cell.number(claim.quantity) for cell in cells if cell.arm == arm}


def holds(claim: Claim, found: Estimate) -> bool:
    """Whether the whole interval, or the value where there is none, lies on the right side of the target."""
    if claim.upward:
        return (found.value if found.low is None else found.low) > claim.border
    return (found.value if found.high is None else found.high) < claim.border


def needed(cells: Sequence[CellResult]) -> int:
    """Seeds that a PASS needs, given the cells that it is about."""
    costs = [cell.cpu_seconds for cell in cells if cell.cpu_seconds is not None]
    return LEAST_CHEAP if costs and sum(costs) / len(costs) <= CHEAP_S else LEAST
