"""Log-probs of given tokens: one packed forward pass, no cache."""

from __future__ import annotations

import torch

from espalier.lm.attention import PackedAttention, packed_positions
from espalier.lm.decoder import Decoder
from espalier.lm.logits import logprobs


@torch.inference_mode()
def score_rows(model: Decoder, rows: list[list[int]], budget: int) -> list[list[float]]:
    """Untempered log-prob of each token given those before it in its row; the first of a row is 0.

    Rows are packed, longest first, into forward passes of up to `budget` tokens (a longer row is computed alone).
    """
    scores: list[list[float]] = [[]] * len(rows)
    batch: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True):
        if batch and sum(len(rows[j]) for j in batch) + len(rows[i]) > budget:
            _score(model, rows, batch, scores)
            batch = []
        batch.append(i)
    _score(model, rows, batch, scores)
    return scores


def _score(model: Decoder, rows: list[list[int]], batch: list[int], scores: list[list[float]]) -> None:
    device = next(model.parameters()).device
    lengths = [len(rows[i]) for i in batch]
    tokens = torch.tensor([token for i in batch for token in rows[i]], device=device)
    hidden = model(tokens, packed_positions(lengths, device), PackedAttention(lengths, device))
    flat = [0.0, *logprobs(model, hidden[:-1], tokens[1:])[0].tolist()]
    start = 0
    for i, length in zip(batch, lengths, strict=True):
        scores[i] = [0.0, *flat[start + 1 : start + length]]
        start += length
