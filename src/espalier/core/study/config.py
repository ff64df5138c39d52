"""The recipe of a study: a base recipe, arms that change it, seeds, what is measured, claims and controls."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config, merged
from espalier.core.errors import ConfigError, nearest
from espalier.core.recipe.beside import RecipeFolders

Axis = Literal["generated_tokens", "forwarded_tokens", "cpu_seconds"]
"""What a cell spends. Jobs log each as `cost/<axis>`, summed since the start, and give the total in `result.json`."""
WARM_ARM = "warm_start"
"""The arm's name of warm starts."""
WARM_START = "{warm_start}"
"""Stands in a base or an arm for the run folder of the warm start of the same seed."""
QUANTITIES = ("value", "tokens", "cpu_seconds")
"""Numbers that every cell has."""
MARGIN = 0.01
"""How far below the baseline "not lower" still is: one point."""


class Claim(Config):
    """A statement about an arm. It holds where the whole 95% interval lies on the right side of the target."""

    arm: str
    """The arm it is about."""
    against: str | None = None
    """The arm that is subtracted, seed by seed; the arm's own values are judged unless given."""
    quantity: str = "value"
    """The number of a cell that it is about: `value`, `tokens`, `cpu_seconds`, or one of `measures` by name."""
    relative: bool = False
    """Divide each difference by the number of `against`: 0.1 is 10% more."""
    expect: Literal["higher", "lower", "not_lower", "not_higher"] = "higher"
    """The right side of the target. The last two allow 0.01 on the wrong side unless `target` is given."""
    target: float | None = None
    """Where the right side begins; 0 unless given, or one point (0.01) on the wrong side for not_lower, not_higher."""

    @model_validator(mode="after")
    def _relative_to_something(self) -> Self:
        if self.relative and self.against is None:
            raise ValueError("relative divides by the number of another arm: set against to its name")
        return self

    @property
    def border(self) -> float:
        """The target, default included."""
        if self.target is not None:
            return self.target
        return {"not_lower": -MARGIN, "not_higher": MARGIN}.get(self.expect, 0.0)

    @property
    def upward(self) -> bool:
        """Whether the right side is above the target."""
        return self.expect in ("higher", "not_lower")


class Measure(Config):
    """A further number of each cell."""

    measure: str
    """As `measure` of the study."""
    minus: str | None = None
    """As `minus` of the study."""


class Control(Claim):
    """The same statement about an arm in which it must be false."""

    guards: tuple[str, ...] = ()
    """Claims that become MISS where the control shows the effect; all of them unless given."""


class StudyConfig(Config):
    """Arms x seeds of one recipe: job `core.study`."""

    recipe: str | None = None
    """A recipe, by file or name, that `base` is laid over."""
    base: dict[str, Any] = Field(default_factory=dict)
    """What all arms share, as in a recipe of the job that it names."""
    warm_start: dict[str, Any] | None = None
    """A recipe that runs once for each seed, before the arms; `{warm_start}` in `base` or an arm is its run folder."""
    arms: dict[str, dict[str, Any]]
    """By name, what the arm changes in `base`."""
    only: tuple[str, ...] = ()
    """Arms to run; all unless given. Claims about other arms are left out."""
    seeds: PositiveInt = 5
    """Seeds of each arm, from the study's own seed on."""
    measure: str = "accuracy_after"
    """The value of a cell: a key of its `result.json`, or a metric's `:last`, `:mean`, `:max` or `:min`."""
    minus: str | None = None
    """Subtracted from it, of the same cell: `accuracy_before` makes a gain of `accuracy_after`."""
    measures: dict[str, Measure] = Field(default_factory=dict)
    """Further numbers of a cell by name, for the `quantity` of a claim."""
    budget: PositiveFloat | None = None
    """Read metrics up to this much of `axis` only, so that arms are compared at equal cost."""
    axis: Axis = "generated_tokens"
    """The cost that is compared first, and that `tokens` of the result file counts."""
    curve: str = "eval/avg"
    """The metric that the report draws over each axis."""
    claims: dict[str, Claim]
    """By name, what the study is to show."""
    controls: dict[str, Control]
    """By name, what must not show it; at least one."""
    workers: PositiveInt = 1
    """Cells that run at a time, a process each."""
    threads: PositiveInt = 1
    """Of each process."""
    seconds_per_cell: PositiveFloat | None = None
    """What a cell takes, for the estimate of the time; the first finished cell tells unless given."""
    cache: Path | None = None
    """A folder of cells that several studies share; that of the run unless given."""
    folders: RecipeFolders = ()
    """Where files that cells name are looked for first."""
    out: Path | None = None
    """Write the result file here too, unless `variant` is smoke."""
    variant: Literal["full", "smoke"] = "full"
    """smoke: the study with the values of `smoke`, which can show sign and shape of early learning only."""
    smoke: dict[str, Any] = Field(default_factory=dict)
    """Values of this study, laid over the others where `variant` is smoke."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.arms:
            if not re.match(r"\w", name):
                raise ConfigError(f"arms: {name!r}: an arm's name begins with a letter or a digit")
            if name == WARM_ARM:
                raise ConfigError(f"arms.{name}: the warm start is called so: give the arm another name")
        for name in self.only:
            self._known(f"only: {name!r}", name, self.arms)
        for kind, statements in (("claims", self.claims), ("controls", self.controls)):
            for name, claim in statements.items():
                for arm in (claim.arm, *([claim.against] if claim.against else [])):
                    self._known(f"{kind}.{name}: {arm!r}", arm, self.arms)
                quantities = [*QUANTITIES, *self.measures]
                self._known(f"{kind}.{name}: {claim.quantity!r}", claim.quantity, quantities, "a quantity")
        for name, control in self.controls.items():
            for claim_name in control.guards:
                self._known(f"controls.{name}.guards: {claim_name!r}", claim_name, self.claims, "a claim")
        if not self.controls:
            raise ConfigError("controls: a study has at least one, an arm that must not show the effect")
        for measure in (self.measure, *(found.measure for found in self.measures.values())):
            if self.budget is not None and ":" not in measure:
                raise ConfigError(f"budget: {measure!r} is known at the end only: name a metric, as eval/avg:last")
        if taken := sorted(self.measures.keys() & QUANTITIES):
            raise ConfigError(f"measures.{taken[0]}: every cell has a number of that name: give it another")
        return self

    @staticmethod
    def _known(where: str, name: str, names: Collection[str], what: str = "an arm") -> None:
        if name not in names:
            raise ConfigError(f"{where} is not {what}{nearest(name, names)}")

    def chosen(self) -> StudyConfig:
        """The study of the variant. Raises ConfigError where `smoke` holds what a study has not."""
        if self.variant == "full":
            return self
        values = self.model_dump(mode="json", exclude={"smoke", "variant", "out"})
        return StudyConfig.of(**merged(values, self.smoke))

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the arms that run."""
        return self.only or tuple(self.arms)

    def statements(self) -> Iterator[tuple[str, Claim]]:
        """Claims, then controls, of the arms that run."""
        for name, claim in (*self.claims.items(), *self.controls.items()):
            if {claim.arm, claim.against or claim.arm} <= set(self.running):
                yield name, claim
