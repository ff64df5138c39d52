"""Advantages of whole responses relative to their group. Groups are identified by id, never by position or shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from espalier.core.errors import EspalierError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EPS = 1e-6
"""Added to a group's standard deviation, as public GRPO trainers do."""


class LonelyRowError(EspalierError):
    """A group of one row has no baseline."""


def group_mean(rewards: Floats, group: Ints) -> Floats:
    """A_i = R_i - mean(R) over its group. rewards, group, result: [R]. GLM-4.5; Dr.GRPO (Liu et al. 2025).

    Raises LonelyRowError for a group of one, as all estimators here do: its advantage would always be zero.
    """
    index, size = _index(group)
    centred = rewards - (np.bincount(index, rewards) / size)[index]
    return np.where(_all_equal(rewards, index, len(size)), 0.0, centred)


def group_std(rewards: Floats, group: Ints) -> Floats:
    """A_i = (R_i - mean R) / (std R + 1e-6): [R]. GRPO (Shao et al. 2024); std with n - 1, as public trainers do."""
    index, size = _index(group)
    centred = group_mean(rewards, group)
    variance = np.bincount(index, centred**2) / (size - 1)
    return centred / (np.sqrt(variance)[index] + EPS)


def leave_one_out(rewards: Floats, group: Ints) -> Floats:
    """A_i = R_i - mean of the other rewards of its group = K/(K-1) (R_i - mean R). [R]. RLOO (Ahmadian et al. 2024)."""
    index, size = _index(group)
    return group_mean(rewards, group) * (size / (size - 1))[index]


def whiten(values: Floats, part: Ints) -> Floats:
    """Token values [M], normalised to mean 0 and standard deviation 1 (population) over the tokens of the same part
    [M].

    A part is the whole batch (REINFORCE++, Hu 2025) or a task (AgentRL, 2510.04206). Equal values become 0.
    """
    if not len(values):
        return values
    _, index = np.unique(part, return_inverse=True)
    size = np.bincount(index)
    centred = values - (np.bincount(index, values) / size)[index]
    centred = np.where(_all_equal(values, index, len(size)), 0.0, centred)
    variance = np.bincount(index, centred**2) / size
    return centred / np.where(variance > 0.0, np.sqrt(variance), 1.0)[index]


def _index(group: Ints) -> tuple[Ints, Ints]:
    """Each row's group as 0..G-1, and the groups' sizes."""
    names, index, size = np.unique(group, return_inverse=True, return_counts=True)
    if np.any(size < 2):
        raise LonelyRowError(
            f"group {names[size < 2][0]} has one row and so no baseline: sample two or more, "
            "or use an algorithm without groups (reinforce, reinforce++, ppo)"
        )
    return index, size


def _all_equal(values: Floats, index: Ints, parts: int) -> NDArray[np.bool_]:
    """Whether a value's part holds one value only; rounding in the mean must not become a signal."""
    low, high = np.full(parts, np.inf), np.full(parts, -np.inf)
    np.minimum.at(low, index, values)
    np.maximum.at(high, index, values)
    equal: NDArray[np.bool_] = low == high
    return equal[index]
