"""Sections given in part."""

from __future__ import annotations

from espalier.core.config import Config


class Optimizer(Config):
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


def test_a_section_that_goes_by_another_name_keeps_nothing_of_the_default() -> None:
    assert Job.of(stage={"optim": {"name": "sgd"}}).stage == Stage(optim=Optimizer(name="sgd", lr=1.0), steps=7)
    assert Job.of(stage={"optim": {"name": "muon", "decay": 0.5}}).stage.optim.lr == 3.0


def test_a_whole_section_is_taken_as_it_is() -> None:
    assert Job.of(stage=Stage()).stage == Stage()
