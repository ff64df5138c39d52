"""Which agents are at lengths from each other that one rigid, scaled shape explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from espalier.robots.swarm.register.consensus import Consensus, refit
from espalier.robots.swarm.register.similarity import Flags, Floats, Freedom, Ints
from espalier.robots.swarm.register.umeyama import FREE

OFFSETS = 16
"""Pairs per agent that the scale is read from."""
AGREEING = 0.25
"""Of the ratios of lengths, the share that must lie together to be the scale's."""


@dataclass(frozen=True)
class CoreConsensus(Consensus):
    """core: (n,) flags of the densest core. degree: agents of it that each of its agents is consistent with."""

    core: Flags
    degree: int


def kcore(
    slots: Floats,
    positions: Floats,
    c_m: float,
    *,
    samples: int = 3,
    freedom: Freedom = FREE,
    towards: Floats | None = None,
) -> CoreConsensus:
    """Slots (n, 3) among finite positions (K, n, 3). towards: (K, 3, 3) for open rotations, see `umeyama`.

    Two agents are consistent where their distance is that of their slots times the scale, to `c_m`, in at least half of
    `samples` samples spread over the horizon. The core of the greatest degree is fitted, and what is within `c_m` of
    that. Source: the k-core as in RE-Formation (T-ASE 2025) and TEASER++ (T-RO 2021); scale and horizon are ours.
    """
    some = positions[np.unique(np.linspace(0, len(positions) - 1, samples).round().astype(int))]
    scales = np.array([_scale(slots, now, freedom) for now in some])
    degrees = core_numbers(consistent(slots, np.ascontiguousarray(some), scales, c_m))
    degree = int(degrees.max(initial=0))
    core = degrees == degree
    found = refit(slots, positions, core, c_m, freedom=freedom, towards=towards)
    return CoreConsensus(found.fit, found.inlier, found.residual_m, core, degree)


def _scale(slots: Floats, positions: Floats, freedom: Freedom) -> float:
    """Where ratios of long distances lie most densely: the middle of the shortest interval with a quarter of them."""
    low, high = freedom.scale
    n = len(slots)
    if low == high or n < 2:
        return float(np.clip(1.0, low, high))
    offsets = np.unique(np.linspace(1, max(n // 2, 1), OFFSETS).astype(int))
    first = np.repeat(np.arange(n), len(offsets))
    second = (first + np.tile(offsets, n)) % n
    planned = np.linalg.norm(slots[first] - slots[second], axis=-1)
    long = planned >= max(float(np.median(planned)), 1e-12)
    if not long.any():
        return float(np.clip(1.0, low, high))
    actual = np.linalg.norm(positions[first] - positions[second], axis=-1)
    ratios = np.sort(actual[long] / planned[long])
    held = max(int(AGREEING * len(ratios)), 1)
    start = int(np.argmin(ratios[held - 1 :] - ratios[: len(ratios) - held + 1]))
    return float(ratios[start : start + held].mean().clip(low, high))


@njit(cache=True)
def consistent(slots: Floats, positions: Floats, scales: Floats, c_m: float) -> Flags:
    """(n, n): whether lengths between positions (S, n, 3) are `scales` (S,) times those of slots (n, 3), to `c_m`, in
    at least half of the samples; none with itself.
    """
    n, count = len(slots), len(positions)
    agree = np.zeros((n, n), np.bool_)
    for i in range(n):
        for j in range(i + 1, n):
            planned = 0.0
            for d in range(3):
                planned += (slots[i, d] - slots[j, d]) ** 2
            planned = np.sqrt(planned)
            fits = 0
            for k in range(count):
                actual = 0.0
                for d in range(3):
                    actual += (positions[k, i, d] - positions[k, j, d]) ** 2
                fits += abs(np.sqrt(actual) - scales[k] * planned) <= c_m
            agree[i, j] = agree[j, i] = 2 * fits >= count
    return agree


@njit(cache=True)
def core_numbers(agree: Flags) -> Ints:
    """(n,): for each node of a symmetric graph (n, n), the largest k of a subgraph with it whose nodes all have k
    neighbours in it. Source: Batagelj & Zaversnik, 2003, on a dense graph.
    """
    n = len(agree)
    degree = np.zeros(n, np.int64)
    for i in range(n):
        degree[i] = agree[i].sum()
    core, left, k = np.zeros(n, np.int64), np.ones(n, np.bool_), 0
    for _ in range(n):
        node = -1
        for i in range(n):
            if left[i] and (node < 0 or degree[i] < degree[node]):
                node = i
        k = max(k, degree[node])
        core[node], left[node] = k, False
        for i in range(n):
            if left[i] and agree[node, i]:
                degree[i] -= 1
    return core
