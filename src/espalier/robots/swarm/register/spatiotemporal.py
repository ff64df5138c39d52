"""Where every slot of a formation will be, from the other agents' messages: one set of inliers over the horizon."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from espalier.core.errors import DataError
from espalier.robots.swarm.register.belief import Belief, Heard, believe
from espalier.robots.swarm.register.config import RegisterConfig
from espalier.robots.swarm.register.consensus import residuals
from espalier.robots.swarm.register.memory import Memory, admit
from espalier.robots.swarm.register.similarity import Flags, Floats, Freedom, Similarity
from espalier.robots.swarm.register.umeyama import umeyama

DEVIATION = 1.48
"""Standard deviations per median, of a normal distribution."""


@dataclass(frozen=True)
class Registration:
    """fit: (K,) similarities from slots to positions. inlier: (n,). residual_m: (K, n), NaN for agents not heard.

    c_m: the limit of residuals. ambiguous: another place explains about as many agents, or too few agree for a
    majority. rival: how many agents agree on the other place. held: too few agree, and `fit` is the last one that had
    enough, for `memory.held_s` seconds already; NaN where there was none. memory: for the next call.
    """

    fit: Similarity
    inlier: Flags
    residual_m: Floats
    c_m: float
    ambiguous: bool
    rival: int
    held: bool
    memory: Memory


def target(result: Registration, slot: Floats) -> Floats:
    """(K, 3): the optimal formation positions p* of the agent whose slot (3,) this is."""
    return result.fit.apply(slot[None])[:, 0]


def register(
    positions: Floats,
    slots: Floats,
    ages_s: Floats,
    times_s: Floats,
    *,
    spacing_m: float,
    config: RegisterConfig,
    rng: np.random.Generator,
    memory: Memory | None = None,
) -> Registration:
    """Positions x_j(t_k), (K, n, 3), of agents that should be at slots (n, 3), at times (K,), the first of them now.

    ages_s: (n,) of the messages. An agent without a message, and the one who asks, is NaN. spacing_m: between slots.
    memory: of the last call with these slots. Raises DataError where the shapes do not fit.

    Source: FLIP (arXiv 2605.29704) for registration with outlier rejection; constants, hysteresis and the rule for
    rivals are ours. Where too few agree and there is nothing to hold, as in a scattered swarm at its start, all are
    fitted: so is a swarm of fewer than five.
    """
    _check(positions, slots, ages_s, times_s, memory)
    now_s = float(times_s[0])
    is_heard = np.isfinite(positions).all((0, 2)) & (ages_s <= config.stale_s)
    before = None if memory is None else memory.fit.at(memory.times_s, times_s)
    last = memory if memory is not None and memory.sure else None
    heard = Heard(
        slots[is_heard],
        positions[:, is_heard],
        config.spacing_share * spacing_m,
        Freedom(config.yaw_only, (config.scale_min, config.scale_max)),
        None if before is None else before.rotation,
        None if last is None else last.inlier[is_heard],
        None if last is None else before,
    )
    belief = believe(heard, config, rng)
    residual_m = np.full(positions.shape[:2], np.nan)
    if memory is not None and before is not None and not belief.sure and (memory.sure or not is_heard.any()):
        residual_m[:, is_heard] = residuals(before, *heard[:2])
        keep = replace(memory, now_s=now_s, held_s=memory.held_s + max(now_s - memory.now_s, 0.0))
        inlier = memory.inlier & is_heard
        return Registration(before, inlier, residual_m, heard.c_m, belief.ambiguous, belief.rival, True, keep)
    c_m = _limit(belief, heard.c_m, config)
    residual_m[:, is_heard] = belief.consensus.residual_m
    inlier, near_since_s = admit(last, is_heard, residual_m, c_m, now_s, config)
    if inlier.sum() < config.least_inliers:
        inlier[is_heard] = belief.consensus.inlier
    fit = umeyama(*heard[:2], inlier[is_heard], freedom=heard.freedom, towards=heard.towards)
    if inlier.any():
        fit = fit.smoothed(config.smoothing, slots[inlier].mean(0))
    residual_m[:, is_heard] = residuals(fit, *heard[:2])
    esteemed = inlier if last is None else inlier | (last.inlier & ~is_heard)
    keep = Memory(now_s, times_s, fit, esteemed, near_since_s, belief.sure, 0.0)
    return Registration(fit, inlier, residual_m, c_m, belief.ambiguous, belief.rival, not is_heard.any(), keep)


def _limit(belief: Belief, least_m: float, config: RegisterConfig) -> float:
    """The largest residual of an inlier: of deviations of those that agree, or of all where too few do."""
    if config.method == "least_squares":
        return float("inf")
    inside = belief.consensus.residual_m[:, belief.consensus.inlier]
    return max(least_m, config.deviations * DEVIATION * float(np.median(inside))) if inside.size else least_m


def _check(positions: Floats, slots: Floats, ages_s: Floats, times_s: Floats, memory: Memory | None) -> None:
    n, count = len(slots), len(times_s)
    if positions.shape != (count, n, 3) or slots.shape != (n, 3) or ages_s.shape != (n,) or not count:
        raise DataError(
            f"positions {positions.shape}, slots {slots.shape}, ages {ages_s.shape} and times {times_s.shape} do not "
            "fit: they are (K, n, 3), (n, 3), (n,) and (K,)"
        )
    if memory is not None and memory.inlier.shape != (n,):
        raise DataError(f"the memory is of {len(memory.inlier)} slots, not {n}: after a change of slots start without")
