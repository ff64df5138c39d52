"""The recipe section of training. Imports without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from espalier.core.config import Config


class FitConfig(Config):
    """Training settings of a method."""

    epochs: NonNegativeInt = 200
    """Passes over the data; for a single graph, steps."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """The optimizer; adamw decouples the weight decay."""
    lr: PositiveFloat = 1e-3
    """Learning rate."""
    weight_decay: NonNegativeFloat = 0.0
    """L2 penalty (adam), decoupled decay (adamw)."""
    schedule: Literal["constant", "cosine"] = "constant"
    """cosine: lr * (1 + cos(pi * epoch / epochs)) / 2, once per epoch."""
    warmup: NonNegativeInt = 0
    """Epochs over which the learning rate rises linearly; the schedule covers the rest."""
    clip: NonNegativeFloat = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    batch_size: NonNegativeInt = 0
    """Number of graphs, or of contexts, in a mini-batch; 0 trains on everything at once."""
    patience: NonNegativeInt = 0
    """Stop after this many epochs without a lower loss (supervised: a better validation accuracy), and keep the best
    weights; 0 trains to the end and keeps the last."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes matrix products under autocast, which is faster if the processor supports it."""
    checkpoint_seconds: float = Field(default=60.0, gt=0.0)
    """Longest time between checkpoints of a run."""
