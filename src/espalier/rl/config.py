"""Recipe sections of reinforcement learning. Imports without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.engine.config import EngineConfig
from espalier.envs.config import AnyTaskConfig, TasksConfig
from espalier.lm.config import ModelConfig
from espalier.rewards.config import ENV_REWARD, RewardsConfig
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.table import algorithm
from espalier.rl.learner.config import LearnerConfig, OptimConfig


class RolloutConfig(Config):
    """How trajectories are sampled. One step trains on `groups_per_step * samples_per_group` of them."""

    groups_per_step: PositiveInt = 16
    """Tasks in one training step."""
    samples_per_group: PositiveInt = 8
    """Attempts at each task."""
    max_tokens: PositiveInt = 64
    """Tokens the policy may sample in one episode, all turns together."""
    max_turns: PositiveInt = 1
    """Turns the policy may take in one episode."""
    temperature: PositiveFloat = 1.0
    """Softmax temperature; the learner trains the policy at the same temperature."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Nucleus truncation. Below 1 the ratio of the loss is biased: leave it for training."""
    top_k: NonNegativeInt = 0
    """Sample among the k likeliest tokens only; 0 for all. Biased like `top_p`."""
    min_p: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Drop tokens below this share of the likeliest one's probability. Biased like `top_p`."""
    repairs: NonNegativeInt = 1
    """Times a failed attempt is played again before it is left out."""
    skip_zero_variance: bool = False
    """Do not compute rows that cannot move the policy, such as groups whose rewards are all equal. Saves time; the
    update is the same, as the rows count in its denominators. With a KL loss or an entropy bonus every row moves the
    policy, and none is skipped. Entropy, ratio and mismatch are then measured on the other rows alone."""
    max_resampled: PositiveInt = 2
    """With `algorithm.filter_zero_variance`: groups replaced in one step at most, in multiples of `groups_per_step`."""
    env_seconds: PositiveFloat = 60.0
    """Deadline of each call of an environment."""
    max_lag: Literal[0] = 0
    """Versions that a token may be older than the weights being trained. 0 is on-policy training."""

    @property
    def truncated(self) -> bool:
        """Whether the sampling distribution differs from the policy's."""
        return self.top_p < 1.0 or self.top_k > 0 or self.min_p > 0.0


class WarmStartConfig(Config):
    """Supervised start on demonstrations by the tasks' oracles, before reinforcement learning."""

    steps: NonNegativeInt = 0
    """Training steps; 0 for none."""
    rows_per_step: PositiveInt = 128
    """Demonstrations a step."""
    optim: OptimConfig = OptimConfig(name="muon", lr=3e-3, schedule="linear", warmup=10)
    """Its optimizer."""


class EvaluationConfig(Config):
    """Checks on held-out tasks, sampled apart from training."""

    later = frozenset({"greedy", "probes"})

    every: PositiveInt = 20
    """Training steps between two evaluations; there is always one before the first and after the last step."""
    tasks: PositiveInt = 200
    """Held-out tasks in each; the same ones every time."""
    samples: PositiveInt = 2
    """Attempts at each: avg@n and pass@k for k up to n."""
    temperature: NonNegativeFloat = 1.0
    """0 is greedy."""
    correct_above: float = 0.99
    """An attempt is correct where its verdict (the unweighted value of `component`) is above this."""
    component: str | None = None
    """The reward component that says whether an attempt is correct; the first one unless given."""
    greedy: bool = False
    """Answer each held-out task once more without sampling. Its figures are `greedy/avg` and so on."""
    probes: tuple[AnyTaskConfig, ...] = ()
    """Task sets that are never trained on. As many of their held-out tasks are measured, as `probe/avg` and so on; with
    `greedy` as `probe_greedy/avg` too."""
    browse: NonNegativeInt = 12
    """Held-out tasks whose samples the report shows, before and after training."""


class RolloutLogConfig(Config):
    """Answers sampled in training that are kept in `artefacts/rollouts.jsonl`, for the report."""

    groups: NonNegativeInt = 2
    """Groups of a step; 0 for none."""
    every: PositiveInt = 1
    """Training steps between two that are kept."""
    max_mb: PositiveFloat = 32.0
    """Megabytes of the file. When it is larger, every second step in it is dropped, and later ones are kept half as
    often."""
    longest: PositiveInt = 20_000
    """Characters of one text; the middle of a longer one is left out."""


CHECKPOINT_BYTES = 200_000_000
"""Of a checkpoint, for each step between two."""


class CheckpointConfig(Config):
    """What a run can be resumed from."""

    every: PositiveInt | None = None
    """Training steps between two checkpoints; a killed run loses at most the steps since. Null: one step for each
    200 MB of trained weights and optimizer, so every step of a small model or of adapters."""
    keep: PositiveInt = 2
    """Newest checkpoints to keep: where the last is broken, a run goes on from the one before."""

    def interval(self, trained: int) -> int:
        """`every`, or what suits checkpoints of `trained` weights: fp32, with two moments each."""
        return self.every or max(1, round(trained * 12 / CHECKPOINT_BYTES))


def check_precision(model: ModelConfig, learner: LearnerConfig) -> None:
    """Raises ConfigError where weights would be trained that are held in bf16."""
    if model.dtype == "float32" or (model.lora is not None and learner.critic is None):
        return
    raise ConfigError(
        f"model.dtype={model.dtype} cannot be trained: most steps are smaller than half a unit of the last of its 8 "
        "bits, and are rounded away. Leave model.dtype at float32 (learner.precision=bf16 multiplies in bf16 all the "
        "same), or train adapters (model.lora, which stay float32; without learner.critic)"
    )


class SFTConfig(Config):
    """Supervised fine-tuning on demonstrations: job `rl.sft`."""

    model: ModelConfig = ModelConfig()
    """The model to train."""
    tasks: TasksConfig
    """Where demonstrations and held-out tasks come from."""
    rewards: RewardsConfig = ENV_REWARD
    """What makes a held-out answer correct."""
    steps: PositiveInt = 200
    """Training steps."""
    rows_per_step: PositiveInt = 128
    """Demonstrations a step."""
    learner: LearnerConfig = LearnerConfig()
    """Optimizer and micro-batches."""
    engine: EngineConfig = EngineConfig()
    """The engine that samples the evaluations."""
    rollout: RolloutConfig = RolloutConfig()
    """Limits of an episode in the evaluations."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Checks on held-out tasks."""
    checkpoint: CheckpointConfig = CheckpointConfig(every=50)
    """What a run can be resumed from."""

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        check_precision(self.model, self.learner)
        return self


class TrainConfig(Config):
    """Reinforcement learning, perhaps after a supervised warm start: job `rl.train`."""

    model: ModelConfig = ModelConfig()
    """The model to train."""
    tasks: TasksConfig
    """What it is trained on."""
    rewards: RewardsConfig = ENV_REWARD
    """How episodes are scored."""
    algorithm: Algorithm = algorithm("grpo")
    """A row of the algorithm table by `name`, with any of its fields changed."""
    warm_start: WarmStartConfig = WarmStartConfig()
    """Supervised start."""
    steps: PositiveInt = 200
    """Training steps of reinforcement learning."""
    stop_after_idle: NonNegativeInt = 10
    """Steps in a row with nothing to learn from (all rewards equal, or no gradient) after which the run ends: with an
    error, or early where every attempt was right; 0 for never."""
    rollout: RolloutConfig = RolloutConfig()
    """How trajectories are sampled."""
    learner: LearnerConfig = LearnerConfig()
    """Optimizer and micro-batches."""
    engine: EngineConfig = EngineConfig()
    """The engine that samples."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Checks on held-out tasks."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """What a run can be resumed from."""
    rollout_log: RolloutLogConfig = RolloutLogConfig()
    """Answers of training that are kept for the report."""
    shuffle_rewards: bool = False
    """Negative control: deal the rewards of each step out at random, so that nothing can be learned."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_precision(self.model, self.learner)
        algorithm = self.algorithm
        if algorithm.needs_group and self.rollout.samples_per_group < 2:
            raise ValueError(
                f"algorithm.advantage={algorithm.advantage} compares the samples of a group: set "
                "rollout.samples_per_group to 2 or more, or take an algorithm without groups (reinforce, ppo)"
            )
        if algorithm.needs_values and self.learner.critic is None:
            raise ValueError(
                f"algorithm.advantage={algorithm.advantage} needs a value model: set learner.critic, "
                "for example learner.critic={} for its defaults"
            )
        if self.learner.critic is not None and not algorithm.needs_values:
            raise ValueError(
                f"algorithm.advantage={algorithm.advantage} uses no critic: set learner.critic to null, or take an "
                "algorithm with gae advantages (ppo)"
            )
        if algorithm.needs_reference and self.learner.reference == "none":
            raise ValueError("algorithm.kl_coef needs a model to stay close to: set learner.reference to frozen or ema")
        if self.rollout.max_tokens >= self.engine.max_len:
            raise ValueError(
                f"engine.max_len ({self.engine.max_len}) must leave room for prompts beyond rollout.max_tokens "
                f"({self.rollout.max_tokens})"
            )
        return self
