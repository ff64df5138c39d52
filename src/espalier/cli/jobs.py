"""Which jobs there are: one explicit table of domains. A domain is imported when one of its jobs is wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from espalier.cli.places import find_recipe
from espalier.core.errors import ConfigError, MissingExtraError, nearest
from espalier.core.job import Job, JobFunction
from espalier.core.study.cells import House


def _core() -> tuple[Job, ...]:
    from espalier.core.study.jobs import jobs

    return jobs(HOUSE)


def _rl() -> tuple[Job, ...]:
    from espalier.rl.jobs import JOBS

    return JOBS


def _graph() -> tuple[Job, ...]:
    from espalier.graph.jobs import JOBS

    return JOBS


def _serving() -> tuple[Job, ...]:
    from espalier.serving.jobs import JOBS

    return JOBS


def _robots() -> tuple[Job, ...]:
    from espalier.robots.jobs import JOBS

    return JOBS


DOMAINS: Mapping[str, Callable[[], tuple[Job, ...]]] = {
    "core": _core,
    "rl": _rl,
    "graph": _graph,
    "serving": _serving,
    "robots": _robots,
}
"""Jobs by domain. A domain's name is also the extra that installs what it needs."""


def find_job(name: str) -> Job:
    """The job `<domain>.<name>`. Raises ConfigError that suggests the nearest."""
    domain = name.partition(".")[0]
    if domain not in DOMAINS:
        raise ConfigError(f"there is no domain {domain!r} for the job {name!r}{nearest(domain, DOMAINS)}")
    jobs = {job.name: job for job in DOMAINS[domain]()}
    if name not in jobs:
        raise ConfigError(f"there is no job {name!r}{nearest(name, jobs)}")
    return jobs[name]


HOUSE = House(find_job, find_recipe, (sys.executable, "-P", "-m", "espalier.cli.cell"))
"""What a study is told of the jobs, the recipes and the command line."""


def all_jobs() -> list[Job]:
    """The jobs of every domain."""
    return [job for load in DOMAINS.values() for job in load()]


def load_function(job: Job) -> JobFunction:
    """The job's function. Raises MissingExtraError where a package of its domain is not installed."""
    try:
        return job.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "espalier"):
            raise
        raise MissingExtraError(missing, job.name.partition(".")[0]) from error
