"""All rules of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from espalier.core.tracking.findings import Finding
from espalier.core.tracking.metrics import History
from espalier.rl.config import SFTConfig, TrainConfig
from espalier.rl.doctor import faults, learning, staleness

RULES: tuple[Callable[[TrainConfig, History], Finding | None], ...] = (
    learning.equal_rewards,
    learning.entropy_collapse,
    learning.length_drift,
    learning.truncated,
    learning.dominant_component,
    staleness.mismatch,
    staleness.masked,
    staleness.lag_bound,
    staleness.waits,
    faults.failed_attempts,
    faults.failing_tools,
    faults.lost_engines,
    learning.no_progress,
)
"""In the order in which findings are told: causes before effects."""


def examine(config: TrainConfig | SFTConfig, history: History) -> list[Finding]:
    """What the metrics of a run with this config say."""
    found = [faults.skipped_gradients(history)]
    match config:
        case TrainConfig():
            found += [rule(config, history) for rule in RULES]
        case SFTConfig():
            pass
        case _:
            assert_never(config)
    return [one for one in found if one is not None]
