"""Which process needs what, and whether a cluster has room for all of them. Pure arithmetic.

A bundle is what one process takes; Ray reserves all bundles together or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from espalier.core.errors import ConfigError
from espalier.rl.cluster.config import ClusterConfig, Share

Role = Literal["learner", "engine", "environment"]
LEAST = 1e-9
"""Smaller differences of resources are rounding."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One process: its role, its number among those of that role, and what it takes."""

    role: Role
    index: int
    cpus: float
    gpus: float

    def __str__(self) -> str:
        return f"{self.role} {self.index} ({_words(self.cpus, self.gpus)})"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of the cluster, with all that it has, in use or not."""

    name: str
    cpus: float
    gpus: float


def bundles(config: ClusterConfig, *, engines: int, environments: int) -> list[Bundle]:
    """The processes of a run, the largest first."""
    counts: Sequence[tuple[Role, int, Share]] = (
        ("learner", config.learners, config.learner),
        ("engine", engines, config.engine),
        ("environment", environments, config.environment),
    )
    found = [Bundle(role, i, share.cpus, share.gpus) for role, count, share in counts for i in range(count)]
    return sorted(found, key=lambda bundle: (-bundle.gpus, -bundle.cpus))


def place(wanted: Iterable[Bundle], machines: Sequence[Machine]) -> dict[Bundle, str]:
    """A machine for each bundle: the first with room, for the largest bundles first.

    Raises ConfigError, in words, if there is none for one of them.
    """
    free = {machine.name: [machine.cpus, machine.gpus] for machine in machines}
    found: dict[Bundle, str] = {}
    for bundle in wanted:
        for name, (cpus, gpus) in free.items():
            if bundle.cpus <= cpus + LEAST and bundle.gpus <= gpus + LEAST:
                found[bundle] = name
                free[name] = [cpus - bundle.cpus, gpus - bundle.gpus]
                break
        else:
            raise ConfigError(_no_room(bundle, found, machines))
    return found


def _no_room(bundle: Bundle, placed: Mapping[Bundle, str], machines: Sequence[Machine]) -> str:
    have = "; ".join(f"{machine.name} has {_words(machine.cpus, machine.gpus)}" for machine in machines) or "none"
    before = ", ".join(map(str, placed)) or "nothing"
    return (
        f"cluster: no machine has room for {bundle} beside {before}. The machines: {have}. Lower cluster.learners, "
        f"engine.count or cluster.{bundle.role}, or add machines"
    )


def _words(cpus: float, gpus: float) -> str:
    return f"{cpus:g} cores" + (f", {gpus:g} GPUs" if gpus else "")
