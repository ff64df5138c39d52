"""Computes new weights from groups of trajectories: reinforcement learning, supervised training and mixtures of
both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from espalier.core.errors import ConfigError, DataError, EspalierError
from espalier.core.seed import np_rng
from espalier.engine.updates import Probe, TensorUpdate
from espalier.lm.decoder import Decoder
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.objective import Stats, merge
from espalier.rl.learner import checkpoint
from espalier.rl.learner.api import Metrics
from espalier.rl.learner.batches.balance import blocks_of, microbatches, slices
from espalier.rl.learner.batches.memory import microbatch_tokens
from espalier.rl.learner.batches.pack import Columns, Floats, Ints, Packed, pack, stems, trained_rows
from espalier.rl.learner.config import LearnerConfig
from espalier.rl.learner.critic import Critic
from espalier.rl.learner.experience import Experience, Passes, experience
from espalier.rl.learner.figures import Figures
from espalier.rl.learner.losses import Counts, PolicyLoss, ValueLoss
from espalier.rl.learner.optimizer.optim import Clock, Optimizer
from espalier.rl.learner.precision import autocast
from espalier.rl.learner.ranks.ranks import ALONE, Ranks
from espalier.rl.learner.ranks.tensors import empty_like
from espalier.rl.learner.reference import Reference
from espalier.rl.learner.stages import Pass, forward_only, policy_pass, sequence_logprobs, value_pass
from espalier.rl.unit import Unit

PROBE_TOKENS = (7, 12)
"""Lengths of the sequences by which an engine is checked."""


class LearnerError(EspalierError):
    """Training cannot continue."""


class TorchLearner:
    """Implements `espalier.rl.learner.api.Learner` for a model in this process.

    Only parameters with `requires_grad` are trained and saved. If `config.critic` and `config.reference` are set,
    `critic` and `reference` give the initial weights of the value model and the reference; by default both are copies
    of `model`. `temperature` is the sampling temperature, at which the policy is also trained (cross entropy always
    uses 1). With `skip_idle`, rows that cannot change the policy are counted but not computed: the update is the same,
    and policy metrics are measured on the other rows. `seed` assigns rows to optimizer steps; nothing else is random.

    `ranks`: the processes that train the model together; by default this one alone. Each has a learner like this, whose
    models are divided among them (`ranks.sharding`), and calls its methods with the same arguments at the same time.
    """

    def __init__(
        self,
        model: Decoder,
        config: LearnerConfig,
        algorithm: Algorithm,
        *,
        critic: Critic | None = None,
        reference: Decoder | None = None,
        temperature: float = 1.0,
        skip_idle: bool = False,
        seed: int,
        ranks: Ranks = ALONE,
    ) -> None:
        if critic is not None and config.critic is None:
            raise ConfigError("a critic was given, but learner.critic is not set")
        if reference is not None and config.reference == "none":
            raise ConfigError("a reference was given, but learner.reference is none")
        if algorithm.aggregate == "constant" and algorithm.constant is None:
            raise ConfigError(
                "algorithm.aggregate=constant divides by a length: set algorithm.constant to the longest response"
            )
        self.model, self.config, self.algorithm = model, config, algorithm
        self._ranks = ranks
        self._temperature, self._skip, self._seed = temperature, skip_idle, seed
        self._device = next(model.parameters()).device
        self._context = autocast(config.precision, self._device)
        self._budget = config.tokens_per_microbatch or microbatch_tokens(
            model.config, self._device.type, recompute=config.recompute_activations
        )
        model.recompute = config.recompute_activations
        self._optimizer = Optimizer(model.named_parameters(), config.optim)
        self.reference: Reference | None = None
        if config.reference != "none":
            decay = config.ema_decay if config.reference == "ema" else 1.0
            self.reference = Reference(reference, decay) if reference is not None else Reference.of(model, decay)
        self.critic: Critic | None = None
        if config.critic is not None:
            self.critic = critic if critic is not None else Critic.beside(model)
            self.critic.decoder.recompute = config.recompute_activations
            self._critic_optimizer = Optimizer(self.critic.named_parameters(), config.critic.optim)
        self._version = 0
        self._forwarded = 0

    @property
    def version(self) -> int:
        """Number of updates done."""
        return self._version

    async def update(self, units: Sequence[Unit]) -> Metrics:
        """See `Learner.update`. If no row can change the weights, the step has no optimizer steps; this is not an
        error.

        Raises LearnerError after `max_skipped` consecutive optimizer steps whose gradients were not finite.
        """
        begun, self._forwarded = time.perf_counter(), 0
        if self.config.reset_optimizer:
            self._optimizer.reset()
            if self.critic is not None:
                self._critic_optimizer.reset()
        data = experience(units, self.algorithm, self._passes(), self._score, skip=self._skip)
        rows = trained_rows(data.table)
        figures = Figures(data, self._version)
        for epoch in range(self.config.epochs):
            order = np_rng(self._seed, "slices", self._version, epoch)
            for piece in slices(blocks_of(data.table.block[rows].tolist()), self.config.updates_per_step, order):
                await self._optimise(data, rows[piece], figures)
        self._version += 1
        if self.reference is not None:
            self.reference.follow(self.model)
        forwarded = self._ranks.total(np.array([self._forwarded], np.float64))
        spent = {"tokens/forwarded": float(forwarded[0]), "time/train": time.perf_counter() - begun}
        return figures.metrics() | {"lr": self._optimizer.lr} | spent

    async def publish(self) -> TensorUpdate:
        """See `Learner.publish`. The tensors are the learner's own, not copies."""
        return TensorUpdate(self._version, checkpoint.weights(self.model, frozen=True))

    async def probe(self) -> Probe:
        """See `Learner.probe`. The same sequences every time; fp32, whatever the precision of training."""
        draw = np_rng(self._seed, "probe")
        sequences = [draw.integers(self.model.config.vocab_size, size=n).tolist() for n in PROBE_TOKENS]
        return Probe(sequences, sequence_logprobs(self.model, sequences))

    async def save(self, path: Path) -> None:
        """See `Learner.save`."""
        parts = {"policy": checkpoint.weights(self.model), "policy_optimizer": self._optimizer.state()}
        clocks = {"policy": self._optimizer.clock}
        if self.critic is not None:
            parts |= {"critic": checkpoint.weights(self.critic), "critic_optimizer": self._critic_optimizer.state()}
            clocks["critic"] = self._critic_optimizer.clock
        if self.reference is not None:
            parts["reference"] = checkpoint.weights(self.reference.model, frozen=True)
        state: dict[str, Any] = {"version": self._version, "seed": self._seed}
        state |= {name: asdict(clock) for name, clock in clocks.items()}
        checkpoint.write(path, parts, state, self._ranks)

    async def load(self, path: Path) -> None:
        """See `Learner.load`. Raises DataError if the checkpoint does not fit this learner."""
        state = checkpoint.read_state(path)
        if state["seed"] != self._seed:
            raise DataError(f"{path}: saved with learner seed {state['seed']}, resumed with {self._seed}")
        self._load_module(path, "policy", self.model)
        self._load_optimizer(path, "policy", self._optimizer, state)
        if self.critic is not None:
            self._load_module(path, "critic", self.critic)
            self._load_optimizer(path, "critic", self._critic_optimizer, state)
        if self.reference is not None:
            self._load_module(path, "reference", self.reference.model, frozen=True)
        self._version = state["version"]

    def _load_module(self, path: Path, name: str, module: nn.Module, *, frozen: bool = False) -> None:
        def room() -> dict[str, Tensor]:
            return {key: empty_like(tensor) for key, tensor in checkpoint.weights(module, frozen=frozen).items()}

        checkpoint.set_weights(module, checkpoint.read_part(path, name, room, self._ranks), frozen=frozen)

    def _load_optimizer(self, path: Path, name: str, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        saved = checkpoint.read_part(path, f"{name}_optimizer", optimizer.room, self._ranks)
        optimizer.load(saved, Clock(**state[name]))

    def _passes(self) -> Passes:
        algorithm, temperature = self.algorithm, self._temperature
        moves = self.config.updates_per_step * self.config.epochs > 1
        penalised = algorithm.needs_reference and algorithm.kl_as == "reward"
        anchor = self.reference if algorithm.needs_reference else None
        return Passes(
            prox=policy_pass(self.model, temperature) if penalised or (moves and algorithm.needs_prox) else None,
            ref=policy_pass(anchor.model, temperature) if anchor is not None else None,
            values=value_pass(self.critic) if self.critic is not None else None,
        )

    def _score(self, table: Columns, rows: Ints, run: Pass) -> Floats:
        batches = self._packed(table, rows, policy=True)
        self._forwarded += sum(len(batch.tokens) for batch in batches)
        return self._ranks.total(forward_only(run, table, batches, self._context))

    def _packed(self, table: Columns, rows: Ints, *, policy: bool = False) -> list[Packed]:
        """The rows in micro-batches, of which this rank computes these. policy: only those with tokens of the policy's
        losses.
        """
        blocks, lengths = blocks_of(table.block[rows].tolist()), table.lengths[rows].tolist()
        dealt = microbatches(blocks, lengths, self._budget, stems(table, rows), ranks=self._ranks.size)
        pieces = [rows[piece] for piece in dealt]
        if policy:
            counts = table.counts((table.rl != 0) | (table.ref != 0))
            pieces = [piece for piece in pieces if counts[piece].any()]
        return [pack(table, piece, self._device, idle=not real) for piece, real in self._ranks.share(pieces)]

    async def _optimise(self, data: Experience, rows: Ints, figures: Figures) -> None:
        """One optimizer step of the policy, and one of the critic."""
        counts = Counts.of(data, rows, self.algorithm.constant)
        if data.moving[rows].any():
            policy = PolicyLoss(self.model, self.algorithm, self._temperature, self.config.ce_mean, data, counts)
            found = np.full(len(data.table.tokens), np.nan, np.float32)
            batches = self._packed(data.table, np.intersect1d(rows, data.computed))
            stats = await self._accumulate(batches, lambda batch: policy(batch, found))
            figures.policy(stats, self._optimizer.step(), self._ranks.union(found))
            self._check(self._optimizer)
        if self.critic is not None and self.config.critic is not None and counts.value.tokens:
            value = ValueLoss(value_pass(self.critic), self.config.critic, data, counts)
            batches = self._packed(data.table, rows, policy=True)
            figures.critic(await self._accumulate(batches, value), self._critic_optimizer.step())
            self._check(self._critic_optimizer)

    async def _accumulate(
        self, batches: Sequence[Packed], loss_of: Callable[[Packed], tuple[Tensor, Stats]]
    ) -> dict[str, float]:
        """Gradients of all micro-batches, which add up. The event loop gets a turn after each."""
        parts: list[Stats] = []
        for batch in batches:
            self._forwarded += len(batch.tokens)
            with self._context:
                loss, stats = loss_of(batch)
            (loss * 0.0 if batch.idle else loss).backward()
            parts += [] if batch.idle else [stats]
            await asyncio.sleep(0)
        return self._ranks.merge(merge(parts))

    def _check(self, optimizer: Optimizer) -> None:
        if (skipped := optimizer.clock.skipped) >= self.config.max_skipped:
            raise LearnerError(
                f"the gradients of {skipped} optimizer steps in a row were not finite (update {self._version}): "
                "lower learner.optim.lr, or look for log-probs or rewards that explode in metrics.jsonl"
            )
