"""A teacher whose weights are a moving average of a student's."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """teacher <- momentum * teacher + (1 - momentum) * student, for parameters; buffers are not changed."""
    if momentum >= 1.0:
        return
    theirs: list[Tensor] = [*teacher.parameters()]
    ours: list[Tensor] = [*student.parameters()]
    if momentum == 0.0:
        torch._foreach_copy_(theirs, ours)
    else:
        torch._foreach_lerp_(theirs, ours, 1.0 - momentum)
