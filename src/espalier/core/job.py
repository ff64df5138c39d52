"""A job: a function from a typed config and a run folder to a few figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from espalier.core.config import Config

if TYPE_CHECKING:
    from espalier.core.run import Run

JobFunction = Callable[[Any, "Run"], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Job:
    """Listed in a domain's `jobs.py`.

    `config` is its pydantic class (light to import); `load` imports and returns the function `run(config, run)`; the
    figures it returns go into `result.json`.
    """

    name: str
    summary: str
    config: type[Config]
    load: Callable[[], JobFunction]
