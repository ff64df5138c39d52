"""A job: a function from a typed config and a run folder to a few figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from espalier.core.config import Config
from espalier.core.fetch.catalogue import Item
from espalier.core.fetch.reads import Read

if TYPE_CHECKING:
    from espalier.core.run.run import Run
    from espalier.core.tracking.findings import Finding
    from espalier.core.tracking.metrics import History

JobFunction = Callable[[Any, "Run"], dict[str, float]]


def nothing(config: Any) -> Sequence[Read | Item]:
    """Of a job that reads no data."""
    return ()


def no_rules(config: Any, history: History) -> Sequence[Finding]:
    """Of a job whose metrics nobody has rules for."""
    return ()


@dataclass(frozen=True, slots=True)
class Job:
    """Listed in a domain's `jobs.py`.

    `config` is its pydantic class (light to import); `load` imports and returns the function `run(config, run)`; the
    figures it returns go into `result.json`. `reads` tells what data a config needs: it is checked before a run begins.
    `follow` imports and returns what ranks of torchrun beyond the first do with the config; None: the job runs in one
    process. `examine` tells what the metrics of a run with a config say about its health, for `espalier doctor`.
    """

    name: str
    summary: str
    config: type[Config]
    load: Callable[[], JobFunction]
    reads: Callable[[Any], Sequence[Read | Item]] = nothing
    follow: Callable[[], Callable[[Any], None]] | None = None
    examine: Callable[[Any, History], Sequence[Finding]] = no_rules
