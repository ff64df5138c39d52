"""Which agents are believed: the best explanation of their positions, and whether another is about as good."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from espalier.robots.swarm.register.config import RegisterConfig
from espalier.robots.swarm.register.consensus import Consensus, refit, residuals, within
from espalier.robots.swarm.register.consistency import kcore
from espalier.robots.swarm.register.gnc import gnc
from espalier.robots.swarm.register.ransac import RansacConsensus, ransac
from espalier.robots.swarm.register.similarity import Flags, Floats, Freedom, Similarity
from espalier.robots.swarm.register.umeyama import umeyama

TINY = 3
"""So few agents are not enough to tell who is out."""


class Heard(NamedTuple):
    """The m agents heard: slots (m, 3), positions (K, m, 3). c_m: of the slots' spacing. towards: (K, 3, 3) or None.

    trusted: (m,) who was in before, and `before` (K,) where the formation was going; None where it was not sure.
    """

    slots: Floats
    positions: Floats
    c_m: float
    freedom: Freedom
    towards: Floats | None
    trusted: Flags | None
    before: Similarity | None


class Belief(NamedTuple):
    """ambiguous: too few agree for a majority, or a rival is as good. rival: agents that agree on another place. sure:
    whether enough agents agree at all; if not, the consensus is of everybody.
    """

    consensus: Consensus
    ambiguous: bool
    rival: int
    sure: bool


def believe(heard: Heard, config: RegisterConfig, rng: np.random.Generator) -> Belief:
    """The best explanation. Of two that explain about equally many agents, that which goes on where the formation was
    going; so it is, too, with a smaller one where the larger is a leap away from there. Of four, one may be out; of two
    or three, all must agree; one agrees with nothing. Ours.
    """
    if config.method == "least_squares" or not len(heard.slots):
        return Belief(_everybody(heard), False, 0, bool(len(heard.slots)))
    count = len(heard.slots)
    if count <= TINY:
        everybody = _everybody(heard)
        agree = count > 1 and bool(within(everybody.residual_m, heard.c_m).all())
        return Belief(everybody, not agree, 0, agree)
    best = _solve(heard, config, rng)
    if heard.trusted is not None and heard.trusted.sum() >= config.least_inliers:
        last = refit(*heard[:2], heard.trusted, heard.c_m, freedom=heard.freedom, towards=heard.towards)
        if last.loss(heard.c_m) < best.loss(heard.c_m):
            best = last
    if best.count < max(min(config.least_inliers, count - 1), config.least_share * count):
        return Belief(_everybody(heard), True, best.count, False)
    minority = best.count < config.majority * count
    other = _rival(heard, best, config, rng)
    if other is None:
        return Belief(best, minority, 0, True)
    as_good = other.count >= config.rival_share * best.count
    if heard.before is not None:
        lead_m = _leap_m(best, heard.before, heard) - _leap_m(other, heard.before, heard)
        if lead_m > (0.0 if as_good else heard.c_m):
            return Belief(other, True, best.count, True)
    return Belief(best, minority or as_good, other.count, True)


def _everybody(heard: Heard) -> Consensus:
    fit = umeyama(*heard[:2], freedom=heard.freedom, towards=heard.towards)
    return Consensus(fit, np.ones(len(heard.slots), bool), residuals(fit, *heard[:2]))


def _solve(heard: Heard, config: RegisterConfig, rng: np.random.Generator) -> Consensus:
    match config.method:
        case "gnc":
            return gnc(*heard[:3], freedom=heard.freedom, towards=heard.towards)
        case "kcore":
            return kcore(*heard[:3], freedom=heard.freedom, towards=heard.towards)
        case _:
            return _draw(heard, config, rng)


def _draw(heard: Heard, config: RegisterConfig, rng: np.random.Generator) -> RansacConsensus:
    return ransac(*heard[:3], rng, hypotheses=config.hypotheses, freedom=heard.freedom, towards=heard.towards)


def _rival(heard: Heard, best: Consensus, config: RegisterConfig, rng: np.random.Generator) -> Consensus | None:
    """What most of the others agree on, where these are enough to be held for the formation."""
    rest = ~best.inlier
    enough = max(config.least_inliers, config.least_share * max(best.count, len(heard.slots)))
    if rest.sum() < enough:
        return None
    part = _draw(heard._replace(slots=heard.slots[rest], positions=heard.positions[:, rest]), config, rng)
    if part.count < enough:
        return None
    inlier = rest.copy()
    inlier[rest] = part.inlier
    return Consensus(part.fit, inlier, residuals(part.fit, *heard[:2]))


def _leap_m(found: Consensus, before: Similarity, heard: Heard) -> float:
    """Metres, on average over the horizon, from where the formation's middle was going."""
    middle = heard.slots.mean(0)[None]
    return float(np.linalg.norm(found.fit.apply(middle) - before.apply(middle), axis=-1).mean())
