"""The config of an evaluation. Imports without torch."""

from __future__ import annotations

from typing import Self

from pydantic import PositiveInt, model_validator

from espalier.core.config import Config
from espalier.engine.config import EngineConfig
from espalier.envs.config import TasksConfig
from espalier.lm.config import ModelConfig
from espalier.rewards.config import ENV_REWARD, RewardsConfig
from espalier.rl.config import EvaluationConfig, check_evaluated
from espalier.rl.rollout.config import RolloutConfig


class EvalConfig(Config):
    """Evaluation of a model on held-out tasks: job `rl.eval`."""

    model: ModelConfig = ModelConfig()
    """The model to evaluate."""
    tasks: TasksConfig
    """The tasks to evaluate on."""
    rewards: RewardsConfig = ENV_REWARD
    """Rewards that decide whether an answer is correct."""
    rollout: RolloutConfig = RolloutConfig()
    """Limits of an episode."""
    engine: EngineConfig = EngineConfig()
    """The engine that samples."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Number of held-out tasks, attempts per task, and temperature."""
    k: tuple[PositiveInt, ...] = ()
    """Values of k for pass@k; by default powers of two up to `evaluation.samples`, and that itself."""

    @model_validator(mode="after")
    def _measurable(self) -> Self:
        check_evaluated(self.rollout)
        samples = self.evaluation.samples
        if large := [k for k in self.k if k > samples]:
            raise ValueError(
                f"pass@{large[0]} needs {large[0]} attempts at each task, there are {samples} (evaluation.samples, --n)"
            )
        if self.evaluation.temperature == 0 and samples > 1:
            raise ValueError(
                f"at temperature 0 all {samples} attempts at a task are the same: set evaluation.samples (--n) to 1"
            )
        if self.rollout.max_tokens >= self.engine.max_len:
            raise ValueError(
                f"engine.max_len ({self.engine.max_len}) must leave room for prompts beyond rollout.max_tokens "
                f"({self.rollout.max_tokens})"
            )
        return self
