"""The jobs of the serving room, for the command line."""

from __future__ import annotations

from espalier.core.job import Job, JobFunction
from espalier.serving.config import CompareConfig, DecodeConfig


def _compare() -> JobFunction:
    from espalier.serving.compare import compare

    return compare


def _decode() -> JobFunction:
    from espalier.serving.decoding import decode

    return decode


JOBS: tuple[Job, ...] = (
    Job("serving.compare", "schedulers side by side in simulation", CompareConfig, _compare),
    Job("serving.decode", "decode placements side by side in simulation", DecodeConfig, _decode),
)
