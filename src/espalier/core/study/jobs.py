"""The jobs of the core, for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from espalier.core.fetch.catalogue import Item
from espalier.core.fetch.reads import Read
from espalier.core.job import Job, JobFunction
from espalier.core.study.cells import House, cells_of
from espalier.core.study.config import StudyConfig


def jobs(house: House) -> tuple[Job, ...]:
    """`house` knows the jobs and recipes of all rooms, which the core does not."""

    def load() -> JobFunction:
        from espalier.core.study.job import study

        return partial(study, house=house)

    def reads(config: StudyConfig) -> Sequence[Read | Item]:
        """What its cells read; those of one seed, as a seed changes nothing of it."""
        cells = cells_of(config.chosen().model_copy(update={"seeds": 1}), 0, house)
        return tuple(dict.fromkeys(one for cell in cells for one in cell.recipe.job.reads(cell.recipe.config)))

    summary = "arms x seeds of a recipe, with intervals, controls and verdicts"
    return (Job("core.study", summary, StudyConfig, load, reads),)
