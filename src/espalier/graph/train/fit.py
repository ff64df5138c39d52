"""The trainer: one loop for every method, at node and graph level, full-batch and mini-batch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from espalier.core.errors import RunError
from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.parallel import Share
from espalier.graph.random import seeded
from espalier.graph.train.batches import Batches
from espalier.graph.train.config import FitConfig
from espalier.graph.train.optim import learning_rate, make_optimizer


@dataclass
class Trainer:
    """Trains `method` on `batches`. Two trainers with equal seed and number of threads give bit-identical results.

    share: this process's part, if several train one method.
    """

    method: Method
    batches: Batches
    config: FitConfig
    seed: int = 0
    share: Share = field(default_factory=Share)
    epoch: int = 0
    best: float = float("inf")
    stale: int = 0
    kept: dict[str, Any] = field(default_factory=dict)
    model: nn.Module = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.share.wrap(self.method)
        self.optimizer = make_optimizer(self.config, self.method.parameters())

    def fit(self, after_epoch: Callable[[int, float], bool] | None = None) -> None:
        """Train to the end, or until the loss stops falling, or until `after_epoch(epochs done, loss)` is true."""
        while not self.done:
            loss = self.one_epoch()
            if after_epoch is not None and after_epoch(self.epoch, loss):
                return
        if self.kept:
            self.method.load_state_dict(self.kept)
        self.share.agree(self.method)

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        waited = self.config.patience and self.stale >= self.config.patience
        return bool(waited) or self.epoch >= self.config.epochs

    def one_epoch(self) -> float:
        """One pass over the data; returns its mean loss. Raises RunError if the loss is not finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.epoch)
        self.method.train()
        total = torch.zeros(())
        place = ("step",) if self.share.rank == 0 else ("step", self.share.rank)
        for step, batch in enumerate(self.batches.epoch(self.epoch, self.seed)):
            with seeded(self.seed, *place, self.epoch, step):
                total += self._step(batch).cpu()
            self.method.after_step((self.epoch + (step + 1) / self.batches.steps) / self.config.epochs)
        loss = float(self.share.mean(total)) / self.batches.steps
        if loss != loss or loss in (float("inf"), float("-inf")):
            raise RunError(f"the loss of epoch {self.epoch} is {loss}: try a lower `lr`, or `clip`")
        self.epoch += 1
        self._note(self.method.monitor(batch, loss) if self.config.patience else loss)
        return loss

    def state(self) -> dict[str, Any]:
        """The state that is needed to continue exactly."""
        own = {"epoch": self.epoch, "best": self.best, "stale": self.stale, "kept": self.kept}
        return {**own, "method": self.method.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the result of `state`."""
        self.epoch, self.best, self.stale, self.kept = (state[key] for key in ("epoch", "best", "stale", "kept"))
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _step(self, batch: Graph) -> torch.Tensor:
        device = batch.adj.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.config.precision == "bf16"):
            loss: torch.Tensor = self.model(batch)
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.method.parameters(), self.config.clip)
        self.optimizer.step()
        return loss.detach()

    def _note(self, score: float) -> None:
        if not self.config.patience:
            return
        if score < self.best:
            self.best, self.stale = score, 0
            self.kept = copy.deepcopy(self.method.state_dict())
        else:
            self.stale += 1
