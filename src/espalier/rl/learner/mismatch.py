"""The difference between the learner's log-probs and the engine's, by the lag of the token.

At lag 0 both have the same weights, so a difference above rounding is a bug. At higher lags, staleness adds to it.
"""

from __future__ import annotations

import numpy as np

from espalier.rl.learner.batches.pack import Floats, Ints

BUCKETS: dict[str, tuple[float, float]] = {"0": (0, 0), "1": (1, 1), "2-3": (2, 3), "4+": (4, np.inf)}
"""Name -> smallest and largest lag."""


def mismatch(learner: Floats, behave: Floats, lag: Ints) -> dict[str, float]:
    """Metrics per bucket that has tokens, over d = learner - behave log-prob (all [M]).

    abs: mean |d|. k1, k3: estimates of KL(behave || learner), mean -d and mean exp(d) - 1 - d. ratio: largest exp(d).
    ess: (sum w)^2 / (M sum w^2) for w = exp(d), the effective sample size of importance weighting as a share.
    """
    result: dict[str, float] = {}
    for name, (low, high) in BUCKETS.items():
        chosen = (lag >= low) & (lag <= high)
        if not chosen.any():
            continue
        d = (learner[chosen] - behave[chosen]).astype(np.float64)
        weight = np.exp(np.clip(d, -20.0, 20.0))
        result |= {
            f"mismatch/{name}/abs": float(np.abs(d).mean()),
            f"mismatch/{name}/k1": float(-d.mean()),
            f"mismatch/{name}/k3": float((weight - 1.0 - d).mean()),
            f"mismatch/{name}/ratio": float(weight.max()),
            f"mismatch/{name}/ess": float(weight.sum() ** 2 / (len(weight) * np.square(weight).sum())),
        }
    return result
