"""The jobs of the core, for the command line."""

from __future__ import annotations

from functools import partial

from espalier.core.job import Job, JobFunction
from espalier.core.study.cells import Finder
from espalier.core.study.config import StudyConfig


def jobs(finder: Finder) -> tuple[Job, ...]:
    """`finder` knows the jobs and recipes of all rooms, which the core does not."""

    def load() -> JobFunction:
        from espalier.core.study.job import study

        return partial(study, finder=finder)

    return (Job("core.study", "arms x seeds of a recipe, with intervals, controls and verdicts", StudyConfig, load),)
