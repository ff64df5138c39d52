"""Generalised advantage estimation over the sampled tokens of ragged rows.

Observation tokens are left out before the recursion, not zeroed: the value after a sampled token is that of the next
sampled token, however many observations lie between.
"""

from __future__ import annotations

import numpy as np

from espalier.rl.algorithms.advantages import Floats, Ints


def gae(rewards: Floats, values: Floats, offsets: Ints, gamma: float, lam: float) -> tuple[Floats, Floats]:
    """Advantages and returns (advantage + value), [M] each, of concatenated rows. Schulman et al. 2016, eq. 16.

    rewards, values: [M] at the sampled tokens only; the value is that of the state before the token. offsets: [R+1].
    delta_t = r_t + gamma V_{t+1} - V_t with V = 0 after a row's end; A_t = sum_l (gamma lam)^l delta_{t+l}.
    """
    ahead = np.append(values[1:], 0.0)
    ends = offsets[1:][np.diff(offsets) > 0] - 1
    ahead[ends] = 0.0
    result = _discounted(rewards + gamma * ahead - values, offsets, gamma * lam)
    return result, result + values


def returns_to_go(rewards: Floats, offsets: Ints, gamma: float) -> Floats:
    """G_t = sum_l gamma^l r_{t+l} within each row: [M]."""
    return _discounted(rewards, offsets, gamma)


def _discounted(values: Floats, offsets: Ints, factor: float) -> Floats:
    """x_t = values_t + factor * x_{t+1} within each row; all rows move back from their ends together."""
    result = values.copy()
    lengths = np.diff(offsets)
    for back in range(2, int(lengths.max(initial=0)) + 1):
        at = offsets[1:][lengths >= back] - back
        result[at] += factor * result[at + 1]
    return result
