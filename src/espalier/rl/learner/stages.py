"""Forward passes over packed rows: those of training, and those without gradient before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from espalier.lm.attention import PackedAttention
from espalier.lm.decoder import Decoder
from espalier.lm.logits import logprobs
from espalier.rl.learner.batches.pack import Columns, Floats, Ints, Packed
from espalier.rl.learner.critic import Critic
from espalier.rl.learner.ranks.tensors import settle

Pass = Callable[[Packed], Tensor]
"""A forward pass over one micro-batch that returns a number for each of its policy positions [M]."""


def hidden_states(model: Decoder, batch: Packed) -> Tensor:
    """[U, hidden] of every token of the micro-batch."""
    return model(batch.tokens, batch.positions, PackedAttention(batch.lengths, batch.tokens.device, batch.flat))


def token_logprobs(
    model: Decoder, hidden: Tensor, batch: Packed, at: Ints, temperature: float, *, entropy: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-probs [M] of the tokens `at`, and optionally the entropy of their distributions."""
    before, index = hidden.index_select(0, batch.predictors(at)), torch.from_numpy(at).to(hidden.device)
    return logprobs(model, before, batch.tokens[index], temperature=temperature, entropy=entropy)


def policy_pass(model: Decoder, temperature: float) -> Pass:
    """Log-probs under `model`: the proximal policy or the reference."""

    def run(batch: Packed) -> Tensor:
        found, _ = token_logprobs(model, hidden_states(model, batch), batch, batch.policy, temperature)
        settle(model)
        return found

    return run


def value_pass(critic: Critic) -> Pass:
    """Values of the states in which the policy's tokens were chosen."""

    def run(batch: Packed) -> Tensor:
        attend = PackedAttention(batch.lengths, batch.tokens.device, batch.flat)
        found: Tensor = critic(batch.tokens, batch.positions, attend, batch.predictors(batch.policy))
        if not torch.is_grad_enabled():
            settle(critic)
        return found

    return run


@torch.no_grad()
def sequence_logprobs(model: Decoder, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
    """Log-prob of each token of each sequence given those before it, at temperature 1; 0 for the first."""
    device = next(model.parameters()).device
    lengths = [len(sequence) for sequence in sequences]
    ids = torch.tensor([token for sequence in sequences for token in sequence], device=device)
    positions = torch.tensor([place for length in lengths for place in range(length)], device=device)
    hidden = model(ids, positions, PackedAttention(lengths, device))
    found, _ = logprobs(model, hidden[:-1], ids[1:], temperature=1.0)
    settle(model)
    parts = torch.cat([found.new_zeros(1), found.float()]).cpu().split(lengths)
    return [[0.0, *part[1:].tolist()] for part in parts]


@torch.no_grad()
def forward_only(run: Pass, table: Columns, batches: Sequence[Packed], context: torch.autocast) -> Floats:
    """One pass over all micro-batches: [N], zero where it computes nothing."""
    result = np.zeros(len(table.tokens), np.float32)
    for batch in batches:
        if len(batch.policy):
            with context:
                found = run(batch).float().cpu().numpy()
            if not batch.idle:
                result[batch.source[batch.policy]] = found
    return result
