"""The jobs of the robots room, for the command line."""

from __future__ import annotations

from espalier.core.fetch.reads import Read
from espalier.core.job import Job, JobFunction
from espalier.robots.swarm.compare.config import TableConfig as FormationTableConfig
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.terrain.compare.config import TableConfig
from espalier.robots.terrain.drive.config import DriveConfig


def _drive() -> JobFunction:
    from espalier.robots.terrain.drive.job import drive

    return drive


def _table() -> JobFunction:
    from espalier.robots.terrain.compare.job import make_table

    return make_table


def _flight() -> JobFunction:
    from espalier.robots.swarm.fleet.job import fly

    return fly


def _formation_table() -> JobFunction:
    from espalier.robots.swarm.compare.job import make_table

    return make_table


def _of_drive(config: DriveConfig) -> tuple[Read, ...]:
    return (Read(config.ground, "terrain"),) if isinstance(config.ground, str) else ()


def _of_table(config: TableConfig) -> tuple[Read, ...]:
    return tuple(Read(name, "terrain") for name in config.clouds)


JOBS: tuple[Job, ...] = (
    Job(
        "robots.drive",
        "a robot maps a cloud as it drives over it, and plans again as it sees more",
        DriveConfig,
        _drive,
        _of_drive,
    ),
    Job(
        "robots.terrain_table",
        "the published comparison of maps, on clouds and on generated ground",
        TableConfig,
        _table,
        _of_table,
    ),
    Job("robots.flight", "vehicles fly in formation, some fail, the others go on", FlightConfig, _flight),
    Job(
        "robots.formation_table",
        "ways to hold a formation, beside each other in many cases",
        FormationTableConfig,
        _formation_table,
    ),
)
