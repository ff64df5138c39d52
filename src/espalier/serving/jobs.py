"""The jobs of the serving room, for the command line."""

from __future__ import annotations

from collections.abc import Iterable

from espalier.core.fetch.reads import Read
from espalier.core.job import Job, JobFunction
from espalier.serving.config import CompareConfig, DecodeConfig, TrafficConfig


def _compare() -> JobFunction:
    from espalier.serving.compare import compare

    return compare


def _decode() -> JobFunction:
    from espalier.serving.decoding import decode

    return decode


def _traces(traffic: Iterable[TrafficConfig]) -> tuple[Read, ...]:
    return tuple(dict.fromkeys(Read(one.trace, "traces") for one in traffic if one.generated is None))


def _of_config(config: CompareConfig | DecodeConfig) -> tuple[Read, ...]:
    return _traces(config.traffic.values())


JOBS: tuple[Job, ...] = (
    Job("serving.compare", "schedulers side by side in simulation", CompareConfig, _compare, _of_config),
    Job("serving.decode", "decode placements side by side in simulation", DecodeConfig, _decode, _of_config),
)
