"""What one registration leaves to the next: who was in, who is on probation, and where the formation was going."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from espalier.robots.swarm.register.config import RegisterConfig
from espalier.robots.swarm.register.consensus import within
from espalier.robots.swarm.register.similarity import Flags, Floats, Similarity

ROUNDING_S = 1e-9
"""Of times that are added up."""


@dataclass(frozen=True)
class Memory:
    """now_s: time of the last call. times_s: (K,), of `fit` (K,), the last result that was not held. inlier: (n,).

    near_since_s: (n,) since when an agent that is out has been near enough to come back; infinite where it is not.
    sure: whether `fit` came of enough agents that agree. held_s: seconds since it.
    """

    now_s: float
    times_s: Floats
    fit: Similarity
    inlier: Flags
    near_since_s: Floats
    sure: bool
    held_s: float

    def with_members(self, inlier: Flags) -> Memory:
        """For other slots in the same formation: who is in then (n,), and nobody on probation."""
        return replace(self, inlier=inlier, near_since_s=np.full(len(inlier), np.inf))


def admit(
    memory: Memory | None, heard: Flags, residual_m: Floats, c_m: float, now_s: float, config: RegisterConfig
) -> tuple[Flags, Floats]:
    """(n,) who is in now, and since when who is out has been near, see `Memory`. heard: (n,). residual_m: (K, n).

    Who is in stays while within `c_m` in at least half of the samples; who is out must be within a share of that for
    a while. Who is silent is not in, and neither falls nor rises in esteem. Without a memory all were in.
    """
    inside = heard & within(residual_m, c_m)
    if memory is None:
        return inside, np.full(len(inside), np.inf)
    near = heard & within(residual_m, config.readmit_share * c_m) & ~memory.inlier
    since_s = np.where(near, np.minimum(memory.near_since_s, now_s), np.where(heard, np.inf, memory.near_since_s))
    inlier = inside & (memory.inlier | (now_s - since_s >= config.readmit_s - ROUNDING_S))
    return inlier, np.where(inlier, np.inf, since_s)
