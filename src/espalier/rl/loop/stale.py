"""Tokens that are older than `rollout.max_lag` allows.

The lag of a token is the version of the weights being trained minus the version that sampled it. Admission keeps most
tokens within the limit; those of a slow episode can still exceed it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import compress

from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Stream, Trajectory

POLICY: tuple[Stream, ...] = ("rl", "ref")
"""The loss streams that sampled tokens are in."""


def oldest(group: ScoredGroup, default: int) -> int:
    """The smallest version of the group's sampled tokens; `default` if there are none."""
    return min((version for row in group.rows for version in row.versions if version >= 0), default=default)


def mask_old(rows: Iterable[Trajectory], version: int, max_lag: int) -> int:
    """Set the loss weight of tokens that are too old for a step from `version` to 0; returns their number.

    They stay in the row as context, and the row's reward still counts in the baseline of its group.
    """
    masked = 0
    for row in rows:
        if row.lag(version) <= max_lag:
            continue
        old = [0 <= v < version - max_lag for v in row.versions]
        weights = dict(row.weights or {})
        masked += sum(map(bool, compress(weights.get("rl", row.mask), old)))
        for stream in POLICY:
            whole = weights.get(stream, [float(sampled) for sampled in row.mask])
            weights[stream] = [0.0 if gone else weight for gone, weight in zip(old, whole, strict=True)]
        row.weights = weights
    return masked


def without_old(group: ScoredGroup, version: int, max_lag: int) -> ScoredGroup | None:
    """The group without the rows that have a token too old for a step from `version`; None if too few rows are left.

    A pair, a tree or the leaves of a search are kept or dropped as a whole.
    """
    fresh = [row.lag(version) <= max_lag for row in group.rows]
    if all(fresh):
        return group
    if group.kind != "group" or group.searched:
        return None
    kept = replace(group, rows=list(compress(group.rows, fresh)), episodes=list(compress(group.episodes, fresh)))
    return kept if kept.usable else None
