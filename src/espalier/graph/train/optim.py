"""The optimizer and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from espalier.graph.train.config import FitConfig


def make_optimizer(config: FitConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam or AdamW, fused, over the trainable parameters."""
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return kind(trained, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def learning_rate(config: FitConfig, epoch: int) -> float:
    """The rate during `epoch`, counted from 0."""
    if epoch < config.warmup:
        return config.lr * (epoch + 1) / config.warmup
    if config.schedule == "constant":
        return config.lr
    span = max(config.epochs - config.warmup, 1)
    return config.lr * 0.5 * (1.0 + math.cos(math.pi * (epoch - config.warmup) / span))
