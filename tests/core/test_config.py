"""Sections given in part."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import NonNegativeInt, PositiveFloat

from espalier.core.config import Config
from espalier.core.errors import ConfigError


class Optimizer(Config):
    selector: ClassVar[str | None] = "name"

    name: str = "adam"
    lr: float = 1.0
    decay: float = 0.0


class Stage(Config):
    optim: Optimizer = Optimizer()
    steps: int = 1


class Job(Config):
    stage: Stage = Stage(optim=Optimizer(name="muon", lr=3.0), steps=7)


def test_a_section_given_in_part_keeps_the_default_of_the_class_that_has_it() -> None:
    assert Job.of(stage={"optim": {"decay": 0.5}}).stage == Stage(
        optim=Optimizer(name="muon", lr=3.0, decay=0.5), steps=7
    )
    assert Job.of(stage={"steps": 2}).stage == Stage(optim=Optimizer(name="muon", lr=3.0), steps=2)


def test_a_section_of_another_variant_keeps_nothing_of_the_default() -> None:
    assert Job.of(stage={"optim": {"name": "sgd"}}).stage == Stage(optim=Optimizer(name="sgd", lr=1.0), steps=7)
    assert Job.of(stage={"optim": {"name": "muon", "decay": 0.5}}).stage.optim.lr == 3.0


def test_a_whole_section_is_taken_as_it_is() -> None:
    assert Job.of(stage=Stage()).stage == Stage()


class Numbers(Config):
    steps: int = 1
    limit: PositiveFloat | None = None
    sizes: tuple[NonNegativeInt, ...] = ()
    name: int | str = 1
    on: bool = False


@pytest.mark.parametrize("field", ["steps", "limit", "sizes"])
@pytest.mark.parametrize(("value", "shown"), [(True, "true"), ("3", "'3'")])
def test_only_numbers_are_numbers(field: str, value: object, shown: str) -> None:
    with pytest.raises(ConfigError, match=f"{field}.* must be a (whole )?number, not {shown}"):
        Numbers.of(**{field: [1, value] if field == "sizes" else value})


def test_fields_of_other_types_take_what_they_took() -> None:
    numbers = Numbers.of(steps=2.0, limit=3, sizes=[1, 2], name="3", on=True)
    assert numbers.model_dump() == {"steps": 2, "limit": 3.0, "sizes": (1, 2), "name": "3", "on": True}
