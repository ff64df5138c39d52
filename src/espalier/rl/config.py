"""Recipe sections of reinforcement learning. Imports without torch."""

from __future__ import annotations

from typing import Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.engine.config import EngineConfig
from espalier.envs.config import AnyTaskConfig, TasksConfig
from espalier.lm.config import ModelConfig
from espalier.rewards.config import ENV_REWARD, RewardsConfig
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.table import algorithm
from espalier.rl.cluster.config import ClusterConfig
from espalier.rl.curriculum.config import CurriculumConfig
from espalier.rl.learner.config import LearnerConfig, OptimConfig
from espalier.rl.rollout.config import BudgetsConfig, CutConfig, ForcingConfig, RolloutConfig


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

    later = frozenset({"greedy", "probes", "forcing", "vetoes", "budgets"})

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
    forcing: ForcingConfig | None = None
    """Make answers of evaluations end in time, as `rollout.forcing` does those of training; null to leave them as they
    are."""
    budgets: BudgetsConfig | None = None
    """Cut the thoughts of the held-out answers at several lengths, and measure what can be answered from the rest."""
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


def check_evaluated(rollout: RolloutConfig) -> None:
    """Raises ValueError for settings of rollouts that only training has."""
    for name in ("tree", "forcing"):
        if getattr(rollout, name) is not None:
            instead = "; set evaluation.forcing" if name == "forcing" else ""
            raise ValueError(f"rollout.{name} is for training, and this job only evaluates: leave it out{instead}")


class SFTConfig(Config):
    """Supervised fine-tuning on demonstrations: job `rl.sft`."""

    later = frozenset({"cluster", "cut"})

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
    cut: CutConfig | None = None
    """Train an answerer: each demonstration's thought is cut at a random place, and only its answer is trained."""
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
        check_evaluated(self.rollout)
        return self


class TrainConfig(Config):
    """Reinforcement learning, optionally after a supervised warm start: job `rl.train`."""

    later = frozenset({"cluster", "curriculum", "trace"})

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
    curriculum: CurriculumConfig | None = None
    """Prefer tasks of middle difficulty; null for the order in which the tasks come."""
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
        self._check_tree()
        self._check_expansion()
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

    def _check_expansion(self) -> None:
        """Expansion works in rounds, and decides itself what is kept. A control needs tiers to exchange."""
        if self.curriculum and self.curriculum.shuffle_weights and not self.curriculum.tier and len(self.tasks) < 2:
            raise ValueError("curriculum.shuffle_weights exchanges the weights of tiers: give tasks two sets or more")
        if self.curriculum is None or self.curriculum.expansion is None:
            return
        if self.rollout.overlap:
            raise ValueError("curriculum.expansion collects in rounds: it needs rollout.max_lag=0")
        if self.algorithm.filter_zero_variance:
            raise ValueError(
                "curriculum.expansion and algorithm.filter_zero_variance both replace groups without variance: turn "
                "one off"
            )

    def _check_tree(self) -> None:
        """A tree search sets the advantages itself."""
        ignored = {
            "algorithm.advantage=gae": self.algorithm.advantage == "gae",
            "algorithm.plugin.advantage": self.algorithm.plugin is not None and bool(self.algorithm.plugin.advantage),
            "algorithm.turn_rewards": self.algorithm.turn_rewards,
            "algorithm.whiten": self.algorithm.whiten != "none",
            "algorithm.kl_as=reward": self.algorithm.needs_reference and self.algorithm.kl_as == "reward",
            "rollout.pad_groups": self.rollout.pad_groups,
        }
        for name, given in ignored.items():
            if self.rollout.tree is not None and given:
                raise ValueError(f"rollout.tree computes the advantages itself, and would ignore {name}: leave it out")
