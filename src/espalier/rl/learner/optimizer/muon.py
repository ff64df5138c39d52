"""Muon: momentum whose matrices are orthogonalised before they are applied (Jordan et al. 2024, "Muon").

The rule is `torch.optim.Muon`'s, which orthogonalises one matrix after another in bfloat16. This one stacks the
matrices of one shape and works in their own precision, as small models on a CPU need.

Matrices that are divided among ranks keep their momentum divided. Each rank gathers the whole updates, orthogonalises
them, and applies its part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from espalier.rl.learner.ranks.tensors import divided, joined, joined_stack, local, part_of_stack

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""A quintic, steep at zero, that takes singular values to somewhere near 1 in five steps."""


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """[n, rows, cols] -> same shape and singular vectors, singular values near 1 (Newton-Schulz iteration)."""
    a, b, c = COEFFICIENTS
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, for 2-D parameters; a missing gradient counts as zero.

    m <- mu m + (1 - mu) g;  W <- (1 - lr wd) W - lr sqrt(max(1, rows / cols)) orthogonalise((1 - mu) g + mu m).
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._stacks = [(group, _Stack(alike)) for group in self.param_groups for alike in _by_shape(group["params"])]
        for _, stack in self._stacks:
            for parameter, momentum_buffer in zip(stack.params, stack.momentum, strict=True):
                self.state[parameter]["momentum_buffer"] = joined(momentum_buffer, parameter)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply the gradients. `closure` is not used."""
        for group, stack in self._stacks:
            stack.step(group["lr"], group["momentum"], group["weight_decay"])


class _Stack:
    """Parameters of one shape, and one momentum buffer [n, rows, cols] for them all."""

    def __init__(self, params: list[nn.Parameter]) -> None:
        self.params = params
        self.momentum = torch.stack([torch.zeros_like(local(p.detach())) for p in params])

    def step(self, lr: float, momentum: float, weight_decay: float) -> None:
        gradient = torch.stack([local(p.grad if p.grad is not None else torch.zeros_like(p)) for p in self.params])
        self.momentum.lerp_(gradient, 1 - momentum)
        update = self._orthogonalised(gradient.lerp_(self.momentum, momentum))
        (rows, cols), tensors = self.params[0].shape, [local(p) for p in self.params]
        if weight_decay:
            torch._foreach_mul_(tensors, 1 - lr * weight_decay)
        torch._foreach_add_(tensors, update.unbind(), alpha=-lr * math.sqrt(max(1.0, rows / cols)))

    def _orthogonalised(self, moves: Tensor) -> Tensor:
        """[n, rows, cols] of this rank's parts -> the same of the matrices that all ranks have together."""
        like = self.params[0]
        if not divided(like):
            return orthogonalise(moves)
        return part_of_stack(orthogonalise(joined_stack(moves, like)), like)


def _by_shape(params: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    alike: dict[tuple[torch.Size, torch.dtype, torch.device], list[nn.Parameter]] = {}
    for p in params:
        alike.setdefault((p.shape, p.dtype, p.device), []).append(p)
    return list(alike.values())
