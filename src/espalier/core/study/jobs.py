"""The jobs of the core, for the command line."""

from __future__ import annotations

from functools import partial

from espalier.core.job import Job, JobFunction
from espalier.core.study.cells import House
from espalier.core.study.config import StudyConfig


def jobs(house: House) -> tuple[Job, ...]:
    """`house` knows the jobs and recipes of all rooms, which the core does not."""

    def load() -> JobFunction:
        from espalier.core.study.job import study

        return partial(study, house=house)

    return (Job("core.study", "arms x seeds of a recipe, with intervals, controls and verdicts", StudyConfig, load),)
