"""The recipe section of training. Imports without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from espalier.core.config import Config


class FitConfig(Config):
    """How a method is trained."""

    epochs: NonNegativeInt = 200
    """Passes over the data; of a single graph, steps."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """adamw decouples the weight decay."""
    lr: PositiveFloat = 1e-3
    """Learning rate."""
    weight_decay: NonNegativeFloat = 0.0
    """L2 penalty (adam), decoupled decay (adamw)."""
    schedule: Literal["constant", "cosine"] = "constant"
    """cosine: lr * (1 + cos(pi * epoch / epochs)) / 2, once per epoch."""
    warmup: NonNegativeInt = 0
    """Epochs over which the learning rate rises linearly; the schedule covers what is left."""
    clip: NonNegativeFloat = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    batch_size: NonNegativeInt = 0
    """Graphs, or clusters of nodes, in a mini-batch; 0 takes all at once."""
    patience: NonNegativeInt = 0
    """Stop after so many epochs without a lower loss (supervised: a better validation accuracy), and keep the best
    weights; 0 trains to the end and keeps the last."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs matrix products under autocast: pays where the processor has it."""
    checkpoint_seconds: float = Field(default=60.0, gt=0.0)
    """Longest time between checkpoints of a run."""
