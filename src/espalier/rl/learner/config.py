"""Settings of the learner. Imports without torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from espalier.core.config import Config


class OptimConfig(Config):
    """Optimizer settings. Steps are optimizer steps."""

    selector: ClassVar[str | None] = "name"

    name: Literal["adamw", "muon"] = "adamw"
    """`adamw` for everything, or `muon` for the matrices inside the layers with AdamW for the rest."""
    lr: PositiveFloat = 3e-4
    """Peak learning rate of AdamW."""
    muon_lr: PositiveFloat = 0.02
    """Peak learning rate of Muon; it follows the same schedule."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay rates of AdamW's first and second moment."""
    eps: PositiveFloat = 1e-8
    """AdamW's epsilon."""
    momentum: float = Field(default=0.95, ge=0.0, lt=1.0)
    """Muon's Nesterov momentum."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """Decoupled decay of matrices, embeddings included; vectors (norms, biases) never decay."""
    grad_clip: PositiveFloat | None = 1.0
    """Largest gradient norm; null leaves gradients as they are."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Shape of the learning rate after the warm-up; the last two decay to `final_lr` at `total_steps`."""
    warmup: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises linearly from zero."""
    total_steps: PositiveInt | None = None
    """Length of the schedule, warm-up included; jobs fill in the length of the run."""
    final_lr: float = Field(default=0.0, ge=0.0, le=1.0)
    """Learning rate at the end of the schedule, as a fraction of the peak."""

    def over(self, steps: int) -> OptimConfig:
        """The same with a schedule of `steps` steps, at most half of them warm-up, unless its length is already set."""
        length = {"total_steps": steps, "warmup": min(self.warmup, steps // 2)}
        return self if self.total_steps else self.model_copy(update=length)


class CriticConfig(Config):
    """The value model of PPO: a copy of the policy's decoder with a scalar head, trained at the same time."""

    optim: OptimConfig = OptimConfig()
    """Its optimizer."""
    value_clip: PositiveFloat | None = 0.2
    """Clip range of value changes in PPO's clipped value loss; null: unclipped."""


class LearnerConfig(Config):
    """One training step: how rows are divided into optimizer steps and micro-batches."""

    later: ClassVar[frozenset[str]] = frozenset({"reset_optimizer", "recompute_activations"})

    optim: OptimConfig = OptimConfig()
    """The policy's optimizer."""
    tokens_per_microbatch: PositiveInt | None = None
    """Largest number of tokens in one forward and backward pass; a longer row is computed alone. Gradients do not
    depend on it. Null: as many as take about 576 MiB of activations on a CPU and 4 GiB on a GPU, from 128 to 4,096 and
    65,536."""
    recompute_activations: bool = False
    """Keep only the inputs of layers for the backward pass, and compute the rest again there (activation
    checkpointing). A token takes a fraction of the memory, and a step about a third more time."""
    reset_optimizer: bool = False
    """Clear the moments of all optimizers before each training step, as GLM-5 does after each publish. The learning
    rate schedule continues. Use it with `updates_per_step` above 1."""
    updates_per_step: PositiveInt = 1
    """Optimizer steps in one pass over the rows, each on its own slice of them."""
    epochs: PositiveInt = 1
    """Passes over the rows."""
    reference: Literal["none", "frozen", "ema"] = "none"
    """The reference policy of KL terms: none, the initial weights, or a moving average of the weights."""
    ema_decay: float = Field(default=0.99, ge=0.0, le=1.0)
    """Decay of an `ema` reference per update."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """Precision of matrix products; weights stay fp32. `auto` uses bf16 if the hardware supports it natively."""
    ce_mean: Literal["token", "row"] = "token"
    """Whether cross entropy is averaged over tokens, or first within each row and then over rows."""
    critic: CriticConfig | None = None
    """Value model, for algorithms with `gae` advantages."""
    max_skipped: PositiveInt = 5
    """Consecutive steps with gradients that are not finite before training stops with an error."""

    def over(self, steps: int) -> LearnerConfig:
        """The same with schedules of `steps` training steps, unless their length is already set."""
        count = steps * self.updates_per_step * self.epochs
        critic = self.critic and self.critic.model_copy(update={"optim": self.critic.optim.over(count)})
        return self.model_copy(update={"optim": self.optim.over(count), "critic": critic})
