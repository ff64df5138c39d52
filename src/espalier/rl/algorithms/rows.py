"""The named algorithms as plain data: the fields in which each differs from the defaults of `Algorithm`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ROWS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "reinforce": {"advantage": "reward", "loss": "reinforce"},
        "rloo": {"advantage": "leave_one_out", "loss": "reinforce"},
        "grpo": {"advantage": "group_std", "aggregate": "sequence"},
        "dr_grpo": {"advantage": "group_mean", "aggregate": "constant"},
        "dapo": {"advantage": "group_std", "clip_high": 0.28, "filter_zero_variance": True, "overlong": 0.2},
        "reinforce++": {"advantage": "reward", "whiten": "batch", "kl_as": "reward", "kl_estimator": "k1"},
        "reinforce++_baseline": {"advantage": "group_mean", "whiten": "batch"},
        "gspo": {
            "advantage": "group_std",
            "loss": "gspo",
            "aggregate": "sequence",
            "clip_low": 3e-4,
            "clip_high": 4e-4,
        },
        "cispo": {"advantage": "group_std", "loss": "cispo", "clip_low": 1.0, "clip_high": 0.28},
        "ppo": {"advantage": "gae", "whiten": "batch", "kl_as": "reward", "kl_estimator": "k1"},
    }
)
