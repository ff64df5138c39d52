"""Log-probs of given tokens: one packed forward pass, no cache."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import torch

from espalier.core.errors import EngineError
from espalier.lm.attention import PackedAttention, packed_positions
from espalier.lm.decoder import Decoder
from espalier.lm.logits import logprobs


class Scorer:
    """Scores what is asked for in one turn of the event loop together, `budget` tokens to a forward pass."""

    def __init__(self, model: Decoder, budget: int) -> None:
        self._model, self._budget = model, budget
        self._asked: list[tuple[list[int], asyncio.Future[list[float]]]] = []

    async def score(self, tokens: Sequence[int]) -> list[float]:
        """See `Engine.score`. Raises EngineError where the pass fails."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[float]] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._score_all)
        self._asked.append((list(tokens), future))
        return await future

    def _score_all(self) -> None:
        asked, self._asked = self._asked, []
        try:
            scores = score_rows(self._model, [tokens for tokens, _ in asked], self._budget)
        except Exception as error:
            for _, future in asked:
                if not future.done():
                    future.set_exception(failure(error, "while scoring"))
            return
        for (_, future), row in zip(asked, scores, strict=True):
            if not future.done():
                future.set_result(row)


def failure(error: Exception, where: str) -> EngineError:
    """What a caller is told of an error inside the engine."""
    told = EngineError(f"the engine failed {where}: {type(error).__name__}: {error}", retryable=True)
    told.__cause__ = error
    return told


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
