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
from espalier.rl.cluster.config import ClusterConfig
from espalier.rl.learner.config import LearnerConfig, OptimConfig
from espalier.rl.rollout.tree.config import TreeConfig

Stale = Literal["mask", "wait", "drop"]


class RolloutConfig(Config):
    """How trajectories are sampled. One step trains on `groups_per_step * samples_per_group` of them."""

    later = frozenset({"stale", "max_in_flight", "fixed_lag", "after_publish", "pad_groups", "tree"})

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
    """Nucleus sampling. Values below 1 bias the ratio of the loss; keep 1 for training."""
    top_k: NonNegativeInt = 0
    """Sample only among the k most likely tokens; 0 for all. Biases the ratio like `top_p`."""
    min_p: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Drop tokens below this share of the most likely token's probability. Biases the ratio like `top_p`."""
    repairs: NonNegativeInt = 1
    """Number of times that a failed attempt is repeated before it is left out."""
    skip_zero_variance: bool = False
    """Skip rows that cannot change the policy, such as groups whose rewards are all equal. This saves time; the update
    is the same, because the rows count in its denominators. With a KL loss or an entropy bonus every row has a
    gradient, and none is skipped. Entropy, ratio and mismatch are then measured on the other rows only."""
    pad_groups: bool = False
    """If attempts of a group failed, replace them by copies of its other rows. If half of the rows or fewer are left,
    the group fails (GLM-5). By default a group with failed attempts stays smaller."""
    max_resampled: PositiveInt = 2
    """With `algorithm.filter_zero_variance`: largest number of groups replaced in one step, in multiples of
    `groups_per_step`."""
    env_seconds: PositiveFloat = 60.0
    """Timeout in seconds of each call of an environment."""
    max_lag: NonNegativeInt = 0
    """Largest lag of a trained token: the version of the weights being trained minus the version that sampled it. With
    0, sampling and training take turns. With more, groups for up to `max_lag` later steps run while the learner
    trains."""
    stale: Stale = "mask"
    """What happens to tokens with a lag above `max_lag`. `mask`: they are left out of the loss and stay as context.
    `wait`: groups are trained in the order in which they started, so that there are none. `drop`: their rows are
    dropped."""
    fixed_lag: bool = False
    """The learner waits until the groups of `max_lag` further steps are finished. After the first `max_lag` steps,
    every token has the largest lag. For studies of staleness; it makes training slower."""
    max_in_flight: NonNegativeInt = 0
    """Largest number of attempts that run at a time, including those that wait for an environment; 0 for as many as
    `max_lag` allows."""
    after_publish: Literal["keep", "recompute"] = "keep"
    """What a publish does to the KV cache of unfinished answers: `keep` it, or `recompute` it with the new weights,
    which costs a prefill of each. The tokens are kept in both cases."""
    tree: TreeConfig | None = None
    """Search a tree of attempts for each task (TreeRL) instead of independent ones; null for none."""

    @property
    def overlap(self) -> bool:
        """Whether groups run while the learner trains."""
        return self.max_lag > 0

    @property
    def truncated(self) -> bool:
        """Whether the sampling distribution differs from the policy's, because of truncation."""
        return self.top_p < 1.0 or self.top_k > 0 or self.min_p > 0.0

    @model_validator(mode="after")
    def _leaves(self) -> Self:
        if self.tree is not None and self.tree.attempts < self.samples_per_group:
            raise ValueError(
                f"rollout.tree makes {self.tree.attempts} attempts, chains * (1 + forks * rounds * branches), fewer "
                f"than the {self.samples_per_group} of rollout.samples_per_group that are trained"
            )
        return self


class WarmStartConfig(Config):
    """Supervised training on demonstrations of the tasks, before reinforcement learning."""

    steps: NonNegativeInt = 0
    """Training steps; 0 for none."""
    rows_per_step: PositiveInt = 128
    """Demonstrations per step."""
    optim: OptimConfig = OptimConfig(name="muon", lr=3e-3, schedule="linear", warmup=10)
    """Its optimizer."""


class EvaluationConfig(Config):
    """Evaluation on held-out tasks, independent of training."""

    later = frozenset({"greedy", "probes", "vetoes"})

    every: PositiveInt = 20
    """Training steps between two evaluations. There is always one before the first and after the last step."""
    tasks: PositiveInt = 200
    """Held-out tasks per evaluation; the same ones every time."""
    samples: PositiveInt = 2
    """Attempts per task: avg@n, and pass@k for k up to n."""
    temperature: NonNegativeFloat = 1.0
    """0 is greedy."""
    correct_above: float = 0.99
    """An attempt is correct if the unweighted value of `component` is above this."""
    component: str | None = None
    """The reward component that decides whether an attempt is correct; by default the first one."""
    vetoes: bool = False
    """Whether an attempt with a veto (a reward's `veto`, or `penalties`) counts as wrong."""
    greedy: bool = False
    """Whether to answer each held-out task once more without sampling. The metrics are `greedy/avg` and so on."""
    probes: tuple[AnyTaskConfig, ...] = ()
    """Task sets that are never trained on. As many of their held-out tasks are evaluated, with the metrics `probe/avg`
    and so on; with `greedy` also `probe_greedy/avg`."""
    browse: NonNegativeInt = 12
    """Held-out tasks whose samples the report shows, before and after training."""


class RolloutLogConfig(Config):
    """Sampled answers of training that are saved in `artefacts/rollouts.jsonl` for the report."""

    groups: NonNegativeInt = 2
    """Groups saved per step; 0 for none."""
    every: PositiveInt = 1
    """A step is saved every so many training steps."""
    max_mb: PositiveFloat = 32.0
    """Largest size of the file in megabytes. When it is larger, every second step in it is dropped, and later steps are
    saved half as often."""
    longest: PositiveInt = 20_000
    """Largest number of characters of one text; the middle of a longer text is left out."""


CHECKPOINT_BYTES = 200_000_000
"""Of a checkpoint, for each step between two."""


class CheckpointConfig(Config):
    """Checkpoints, from which a run can be resumed."""

    every: PositiveInt | None = None
    """Training steps between two checkpoints; a killed run loses at most the steps since the last one. Null: one step
    per 200 MB of trained weights and optimizer state, so every step of a small model or of adapters."""
    keep: PositiveInt = 2
    """Number of newest checkpoints to keep. If the last is broken, a run continues from the one before."""

    def interval(self, trained: int) -> int:
        """`every`, or its default for `trained` weights in fp32 with two moments each."""
        return self.every or max(1, round(trained * 12 / CHECKPOINT_BYTES))


def check_precision(model: ModelConfig, learner: LearnerConfig) -> None:
    """Raises ConfigError if weights would be trained in bf16."""
    if model.dtype == "float32" or (model.lora is not None and learner.critic is None):
        return
    raise ConfigError(
        f"model.dtype={model.dtype} cannot be trained: it has only 8 significant bits, and most updates would be "
        "rounded away. Keep model.dtype=float32 (learner.precision=bf16 still computes products in bf16), or train "
        "adapters (model.lora, which stay float32; without learner.critic)"
    )


def check_cluster(cluster: ClusterConfig, engine: EngineConfig) -> None:
    """Raises ValueError if the cluster cannot place what is asked for."""
    if cluster.kind == "local":
        if cluster.learners > 1:
            raise ValueError("cluster.learners is for cluster.kind=ray; on one machine, torchrun starts the ranks")
    elif engine.kind == "vllm" and not engine.vllm.urls:
        raise ValueError("cluster.kind=ray starts no servers of vLLM: start them, and give engine.vllm.urls")


class SFTConfig(Config):
    """Supervised fine-tuning on demonstrations: job `rl.sft`."""

    later = frozenset({"cluster"})

    model: ModelConfig = ModelConfig()
    """The model to train."""
    tasks: TasksConfig
    """Tasks for demonstrations and held-out evaluation."""
    rewards: RewardsConfig = ENV_REWARD
    """Rewards that decide whether a held-out answer is correct."""
    steps: PositiveInt = 200
    """Training steps."""
    rows_per_step: PositiveInt = 128
    """Demonstrations per step."""
    learner: LearnerConfig = LearnerConfig()
    """Optimizer and micro-batches."""
    engine: EngineConfig = EngineConfig()
    """The engine that samples the evaluations."""
    cluster: ClusterConfig = ClusterConfig()
    """Where the processes run."""
    rollout: RolloutConfig = RolloutConfig()
    """Limits of an episode in the evaluations."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Checks on held-out tasks."""
    checkpoint: CheckpointConfig = CheckpointConfig(every=50)
    """Checkpoints, from which a run can be resumed."""

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        check_precision(self.model, self.learner)
        check_cluster(self.cluster, self.engine)
        return self


class TrainConfig(Config):
    """Reinforcement learning, optionally after a supervised warm start: job `rl.train`."""

    later = frozenset({"cluster", "trace"})

    model: ModelConfig = ModelConfig()
    """The model to train."""
    tasks: TasksConfig
    """The tasks to train on."""
    rewards: RewardsConfig = ENV_REWARD
    """The rewards of episodes."""
    algorithm: Algorithm = algorithm("grpo")
    """An algorithm of the table by `name`, with any of its fields changed."""
    warm_start: WarmStartConfig = WarmStartConfig()
    """Supervised warm start."""
    steps: PositiveInt = 200
    """Training steps of reinforcement learning."""
    stop_after_idle: NonNegativeInt = 10
    """Consecutive idle steps (all rewards equal, or no gradient) after which the run ends: with an error, or early if
    every attempt was right; 0 for never."""
    rollout: RolloutConfig = RolloutConfig()
    """How trajectories are sampled."""
    learner: LearnerConfig = LearnerConfig()
    """Optimizer and micro-batches."""
    engine: EngineConfig = EngineConfig()
    """The engine that samples."""
    cluster: ClusterConfig = ClusterConfig()
    """Where the processes run."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Checks on held-out tasks."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """Checkpoints, from which a run can be resumed."""
    rollout_log: RolloutLogConfig = RolloutLogConfig()
    """Sampled answers of training that are saved for the report."""
    shuffle_rewards: bool = False
    """Negative control: shuffle the rewards of each step, so that nothing can be learned."""
    trace: bool = False
    """Record a timeline of the loop and of every attempt in `artefacts/trace.json`, for chrome://tracing or
    https://ui.perfetto.dev."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_precision(self.model, self.learner)
        check_cluster(self.cluster, self.engine)
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
        if self.shuffle_rewards and algorithm.turn_rewards:
            raise ValueError(
                "shuffle_rewards deals out the rewards of rows, and algorithm.turn_rewards pays turns: turn one off"
            )
        if self.engine.on_servers and (self.rollout.temperature != 1.0 or self.rollout.truncated):
            raise ValueError(
                f"engine.kind={self.engine.kind} returns log-probs of the sampling distribution only at temperature 1 "
                "without truncation: set rollout.temperature to 1, and leave top_p, top_k and min_p at their defaults"
            )
        if self.rollout.max_tokens >= self.engine.max_len:
            raise ValueError(
                f"engine.max_len ({self.engine.max_len}) must leave room for prompts beyond rollout.max_tokens "
                f"({self.rollout.max_tokens})"
            )
        return self
