"""From gradients to weights: parameter groups, schedule, clipping, and gradients that are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from espalier.core.errors import ConfigError, DataError
from espalier.rl.learner.config import OptimConfig
from espalier.rl.learner.optimizer.muon import Muon
from espalier.rl.learner.ranks.tensors import empty_like, whole


def scale(config: OptimConfig, step: int) -> float:
    """Learning rate of optimizer step `step` (from 0), as a fraction of its peak."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    if config.schedule == "constant":
        return 1.0
    if config.total_steps is None or config.total_steps <= config.warmup:
        raise ConfigError(
            f"optim.schedule={config.schedule} needs optim.total_steps above optim.warmup ({config.warmup}), "
            f"got {config.total_steps}"
        )
    done = min((step - config.warmup) / (config.total_steps - config.warmup), 1.0)
    left = 1.0 - done if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return config.final_lr + (1.0 - config.final_lr) * left


@dataclass(frozen=True, slots=True)
class Stepped:
    """What one step did: gradient norm before clipping, the learning rate used, and whether it was skipped."""

    norm: float
    lr: float
    skipped: bool


@dataclass(slots=True)
class Clock:
    """Number of steps that changed the weights, and of consecutive skipped steps since the last of them."""

    steps: int = 0
    skipped: int = 0


class Optimizer:
    """AdamW, or Muon for the matrices inside the layers and AdamW for the rest, over the trainable parameters."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], config: OptimConfig) -> None:
        self.config = config
        self.clock = Clock()
        self._named = {name: p for name, p in named if p.requires_grad}
        if not self._named:
            raise ConfigError("the model has no trainable parameter: all of them have requires_grad False")
        scale(config, config.warmup)  # an incomplete schedule fails now, not after the warm-up
        self._optimizers = _build(self._named, config)
        self._peaks = [[float(group["lr"]) for group in o.param_groups] for o in self._optimizers]

    @property
    def lr(self) -> float:
        """AdamW's learning rate at the next step."""
        return self.config.lr * scale(self.config, self.clock.steps)

    def step(self) -> Stepped:
        """Clip, apply and clear the gradients. If a gradient is not finite, the gradients are only cleared."""
        params = list(self._named.values())
        grads = [p.grad for p in params if p.grad is not None]
        norm_tensor = whole(nn.utils.get_total_norm(grads))
        norm, lr = float(norm_tensor), self.lr
        skipped = not math.isfinite(norm)
        if skipped:
            self.clock.skipped += 1
        else:
            if self.config.grad_clip is not None and norm > self.config.grad_clip:
                nn.utils.clip_grads_with_norm_(params, self.config.grad_clip, norm_tensor)
            factor = scale(self.config, self.clock.steps)
            for optimizer, peaks in zip(self._optimizers, self._peaks, strict=True):
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * factor
                optimizer.step()
            self.clock = Clock(self.clock.steps + 1)
        for p in params:
            p.grad = None
        return Stepped(norm, lr, skipped)

    def state(self) -> dict[str, Tensor]:
        """Moments and step counts by `<parameter>.<entry>`. With `clock`, this is all that the next step depends on."""
        return {
            f"{name}.{entry}": value
            for optimizer, name, parameter in self._owned()
            for entry, value in optimizer.state.get(parameter, {}).items()
        }

    def load(self, state: Mapping[str, Tensor], clock: Clock) -> None:
        """Restore `state()` and `clock`. Raises DataError if it belongs to other parameters or another optimizer."""
        left = dict(state)
        for optimizer, name, parameter in self._owned():
            held = optimizer.state[parameter]
            for entry in _entries(optimizer):
                saved = left.pop(f"{name}.{entry}", None)
                if saved is None:
                    continue  # a parameter that never had a gradient has no moments
                if entry in held:
                    held[entry].copy_(saved)  # Muon's buffers are views of a stack
                else:
                    held[entry] = saved.to(parameter.device, copy=True)  # of AdamW, before its first step
        if left:
            raise DataError(
                f"{len(left)} entries of the optimizer state fit no parameter, the first is {min(left)!r}: "
                "resume with the model, adapters and optim.name that were saved"
            )
        self.clock = clock

    def room(self) -> dict[str, Tensor]:
        """Tensors of the names and shapes of `state()` once every parameter has moved, for a checkpoint to be read
        into.
        """
        return {
            f"{name}.{entry}": torch.zeros(()) if entry == "step" else empty_like(parameter.detach())
            for optimizer, name, parameter in self._owned()
            for entry in _entries(optimizer)
        }

    def reset(self) -> None:
        """Forget all moments, as if the next step were the first. The learning rate schedule goes on."""
        for optimizer, _, parameter in self._owned():
            for value in optimizer.state.get(parameter, {}).values():
                value.zero_()

    def _owned(self) -> Iterator[tuple[torch.optim.Optimizer, str, nn.Parameter]]:
        """Every trainable parameter with its name and the optimizer that moves it."""
        names = {id(p): name for name, p in self._named.items()}
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    yield optimizer, names[id(p)], p


def _entries(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    """The names of its state for each parameter."""
    return ("momentum_buffer",) if isinstance(optimizer, Muon) else ("step", "exp_avg", "exp_avg_sq")


def _build(named: Mapping[str, nn.Parameter], config: OptimConfig) -> list[torch.optim.Optimizer]:
    hidden = [p for name, p in named.items() if config.name == "muon" and _is_hidden_matrix(name, p)]
    taken = {id(p) for p in hidden}
    rest = [p for p in named.values() if id(p) not in taken]
    result: list[torch.optim.Optimizer] = []
    if hidden:
        result.append(Muon(hidden, config.muon_lr, config.momentum, config.weight_decay))
    if rest:
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ]
        filled = [group for group in groups if group["params"]]
        result.append(torch.optim.AdamW(filled, lr=config.lr, betas=config.betas, eps=config.eps, fused=True))
    return result


def _is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Matrices inside the layers; embeddings, heads and low-rank adapters go to AdamW."""
    return parameter.ndim == 2 and "layers." in name and "lora_" not in name
