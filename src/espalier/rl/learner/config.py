"""What the learner can be told. Imports without torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from espalier.core.config import Config


class OptimConfig(Config):
    """How gradients become weights. Steps are optimizer steps."""

    selector: ClassVar[str | None] = "name"

    name: Literal["adamw", "muon"] = "adamw"
    """`adamw` for everything, or `muon` for the matrices inside the layers with AdamW for the rest."""
    lr: PositiveFloat = 3e-4
    """Peak learning rate of AdamW."""
    muon_lr: PositiveFloat = 0.02
    """Peak learning rate of Muon; it scales with the same schedule."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of AdamW's first and second moment."""
    eps: PositiveFloat = 1e-8
    """AdamW's denominator floor."""
    momentum: float = Field(default=0.95, ge=0.0, lt=1.0)
    """Muon's Nesterov momentum."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """Decoupled decay of matrices, embeddings included; vectors (norms, biases) never decay."""
    grad_clip: PositiveFloat | None = 1.0
    """Largest gradient norm; null leaves gradients as they are."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Shape of the learning rate after the warm-up; the last two fall to `final_lr` at `total_steps`."""
    warmup: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises linearly from zero."""
    total_steps: PositiveInt | None = None
    """Length of the schedule, warm-up included; jobs fill in the length of the run."""
    final_lr: float = Field(default=0.0, ge=0.0, le=1.0)
    """Learning rate at the end of the schedule, as a fraction of the peak."""

    def over(self, steps: int) -> OptimConfig:
        """The same with a schedule of `steps`, at most half of them warm-up, unless it has a length already."""
        length = {"total_steps": steps, "warmup": min(self.warmup, steps // 2)}
        return self if self.total_steps else self.model_copy(update=length)


class CriticConfig(Config):
    """The value model of PPO: a copy of the policy's decoder with a scalar head, trained beside it."""

    optim: OptimConfig = OptimConfig()
    """Its optimizer."""
    value_clip: PositiveFloat | None = 0.2
    """Largest move of a value from its old one before its squared error stops improving; null: unclipped."""


class LearnerConfig(Config):
    """One training step: how rows become micro-batches, and micro-batches optimizer steps."""

    optim: OptimConfig = OptimConfig()
    """The policy's optimizer."""
    tokens_per_microbatch: PositiveInt = 4096
    """Most tokens in one forward and backward pass; a longer row goes alone. Gradients do not depend on it."""
    updates_per_step: PositiveInt = 1
    """Optimizer steps in one pass over the rows, each on its own slice of them."""
    epochs: PositiveInt = 1
    """Passes over the rows."""
    reference: Literal["none", "frozen", "ema"] = "none"
    """The anchor of KL terms: none, the initial weights, or their moving average."""
    ema_decay: float = Field(default=0.99, ge=0.0, le=1.0)
    """Share of itself that an `ema` reference keeps after each update."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """Matmul precision; weights stay fp32. `auto` takes bf16 where the hardware multiplies it natively."""
    ce_mean: Literal["token", "row"] = "token"
    """Cross entropy averages over tokens, or over rows after averaging each row's tokens."""
    critic: CriticConfig | None = None
    """Value model, for algorithms with `gae` advantages."""
    max_skipped: PositiveInt = 5
    """Consecutive steps with gradients that are not finite before training stops with an error."""

    def over(self, steps: int) -> LearnerConfig:
        """The same with schedules that last `steps` training steps, unless they have a length already."""
        count = steps * self.updates_per_step * self.epochs
        critic = self.critic and self.critic.model_copy(update={"optim": self.critic.optim.over(count)})
        return self.model_copy(update={"optim": self.optim.over(count), "critic": critic})
