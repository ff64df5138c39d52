"""The loss of a micro-batch (reinforcement learning, KL to the reference, cross entropy) and that of the critic.

Each component is divided by its own count over the whole optimizer step, which is known before the first backward pass.
Gradients therefore do not depend on how rows are divided into micro-batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from espalier.lm.decoder import Decoder
from espalier.rl.algorithms.config import Aggregate, Algorithm
from espalier.rl.algorithms.objective import Stats, TokenBatch, policy_objective
from espalier.rl.algorithms.reduce import Denominators, reduce
from espalier.rl.learner.batches.pack import Floats, Ints, Packed
from espalier.rl.learner.config import CriticConfig
from espalier.rl.learner.critic import value_loss
from espalier.rl.learner.experience import Experience
from espalier.rl.learner.stages import Pass, hidden_states, token_logprobs


@dataclass(frozen=True, slots=True)
class Counts:
    """Denominators of one optimizer step, for each stream. measured: tokens of the policy's rows that are computed."""

    rl: Denominators
    ce: Denominators
    ref: Denominators
    value: Denominators
    measured: float

    @staticmethod
    def of(data: Experience, rows: Ints, constant: float | None) -> Counts:
        """Counts over the given rows, computed or not; `constant` is `Algorithm.constant`."""
        table = data.table
        streams = (table.rl, table.ce, table.ref, _valued(data))
        rl, ce, ref, value = (Denominators.count(table.counts(weight)[rows], constant) for weight in streams)
        computed = np.intersect1d(rows, data.computed)
        return Counts(rl, ce, ref, value, measured=float(table.counts(table.rl)[computed].sum()))


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """The policy's loss over micro-batches of one optimizer step."""

    model: Decoder
    algorithm: Algorithm
    temperature: float
    ce_mean: Literal["token", "row"]
    data: Experience
    counts: Counts

    def __call__(self, batch: Packed, logprobs: Floats) -> tuple[Tensor, Stats]:
        """This micro-batch's share of the loss and of the metrics; its log-probs are written to `logprobs` [N]."""
        hidden = hidden_states(self.model, batch)
        loss, stats = hidden.new_zeros(()).float(), Stats()
        if len(batch.policy):
            new, entropy = token_logprobs(self.model, hidden, batch, batch.policy, self.temperature, entropy=True)
            logprobs[batch.source[batch.policy]] = new.detach().cpu().numpy()
            tokens, counts = self._tokens(batch, new, entropy), self.counts
            part, stats = policy_objective(self.algorithm, tokens, counts.rl, counts.ref, counts.measured)
            loss = loss + part
        if len(batch.ce):
            new, _ = token_logprobs(self.model, hidden, batch, batch.ce, 1.0)
            weight = batch.gather(self.data.table.ce, batch.ce)
            how: Aggregate = "token" if self.ce_mean == "token" else "sequence"
            part = reduce(-new, weight, batch.rows(batch.ce), how, self.counts.ce)
            stats["loss/ce"] = part.detach()
            loss = loss + part
        return loss, stats

    def _tokens(self, batch: Packed, new: Tensor, entropy: Tensor | None) -> TokenBatch:
        data, at = self.data, batch.policy

        def known(column: Floats | None) -> Tensor | None:
            return None if column is None else batch.gather(column, at)

        return TokenBatch(
            new=new,
            behave=batch.gather(data.table.behave, at),
            advantage=batch.gather(data.advantage, at),
            weight=batch.gather(data.table.rl, at),
            row=batch.rows(at),
            prox=known(data.prox),
            ref=known(data.ref),
            entropy=entropy,
            ref_weight=known(data.table.ref if self.algorithm.needs_reference else None),
        )


@dataclass(frozen=True, slots=True)
class ValueLoss:
    """The critic's loss over micro-batches of one optimizer step: the mean over the tokens that have a return."""

    values: Pass
    config: CriticConfig
    data: Experience
    counts: Counts

    def __call__(self, batch: Packed) -> tuple[Tensor, Stats]:
        """This micro-batch's share."""
        data, at = self.data, batch.policy
        assert data.values is not None
        assert data.returns is not None
        old, returns = batch.gather(data.values, at), batch.gather(data.returns, at)
        error = value_loss(self.values(batch), old, returns.nan_to_num(), self.config.value_clip)
        weight = batch.gather(_valued(data), at)
        loss = reduce(error, weight, batch.rows(at), "token", self.counts.value)
        return loss, {"loss/value": loss.detach()}


def _valued(data: Experience) -> Floats:
    """[N] 1 at the tokens from which the critic learns: those of the policy that have a return."""
    if data.returns is None:
        return np.zeros(len(data.table.tokens), np.float32)
    return ((data.table.rl != 0) & np.isfinite(data.returns)).astype(np.float32)
