"""Which process needs what, and whether a cluster has room for all of them. Pure arithmetic.

A bundle is what one process takes; Ray reserves all bundles together or none.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def check_room(wanted: Sequence[Bundle], machines: Sequence[Machine]) -> None:
    """Raises ConfigError, in words, if no machine is large enough for one of the bundles, or all machines together are
    too small. Whether they fit otherwise, Ray finds out.
    """
    have = "; ".join(f"{machine.name} has {_words(machine.cpus, machine.gpus)}" for machine in machines) or "none"
    advice = "Lower cluster.learners, engine.count or the shares in cluster, or add machines"
    for bundle in wanted:
        if not any(bundle.cpus <= one.cpus + LEAST and bundle.gpus <= one.gpus + LEAST for one in machines):
            raise ConfigError(f"cluster: no machine is large enough for {bundle}. The machines: {have}. {advice}")
    for name in ("cpus", "gpus"):
        needed, there = (sum(getattr(one, name) for one in group) for group in (wanted, machines))
        if needed > there + LEAST * len(wanted):
            kind = {"cpus": "cores", "gpus": "GPUs"}[name]
            raise ConfigError(
                f"cluster: {', '.join(map(str, wanted))} need {needed:g} {kind}, and there are {there:g}. "
                f"The machines: {have}. {advice}"
            )


def _words(cpus: float, gpus: float) -> str:
    return f"{cpus:g} cores" + (f", {gpus:g} GPUs" if gpus else "")
