"""Samples one token per row, with its log-prob under the sampled and the untempered distribution.

Tokens are drawn by inverse CDF: one uniform per row is compared with the cumulative probabilities, in float64 so that a
vocabulary of 150,000 small probabilities sums accurately. Gumbel-max would need a hash and two logarithms for each
vocabulary entry; `benchmarks/rollout.py` times both, at 64 and at 150,000 entries, and the inverse CDF is faster at
both. Rows with truncation are sampled separately, so rows without it have no extra cost.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from espalier.core.errors import EngineError
from espalier.core.kernels import count, pointer
from espalier.engine.api import Sampling
from espalier.engine.batching.noise import stream, uniforms
from espalier.engine.native import library

GREEDY, PLAIN, TEMPERED, TRUNCATED = range(4)
COLDEST, HOTTEST = 1e-5, 1e30
"""Below the first temperature sampling is greedy: a token whose logit is 1e-3 lower has a probability of e^-100. Above
the second it is uniform in fp32. Between them no finite logit overflows."""

_FIRST_WIDTH = 256
_SMALL = 1 << 16
_LEAST_MASS = float(np.finfo(np.float32).tiny)
_EVERY = int(np.iinfo(np.int32).max)
"""More ranks than a vocabulary has."""

_LAST_ID = int(np.iinfo(np.int64).max)
_REQUEST = np.dtype(
    [("key", "u8"), ("kind", "i8"), ("temperature", "f8"), ("top_p", "f8"), ("top_k", "i8"), ("min_p", "f8")]
)


@dataclass(slots=True)
class Sampled:
    """Per row: the token, its log-prob as sampled, its untempered and untruncated log-prob. Each [rows]."""

    tokens: Tensor
    logprobs: Tensor
    raw: Tensor


def check(sampling: Sampling) -> None:
    """Raise EngineError if `sampling` has values out of range."""
    wrong = {
        "max_tokens": sampling.max_tokens < 1,
        "temperature": not 0.0 <= sampling.temperature < float("inf"),
        "top_p": not 0.0 < sampling.top_p <= 1.0,
        "top_k": sampling.top_k < 0,
        "min_p": not 0.0 <= sampling.min_p <= 1.0,
        "stop": not _are_ids(sampling.stop),
        "stop_sequences": not all(sequence and _are_ids(sequence) for sequence in sampling.stop_sequences),
    }
    if bad := [name for name, is_wrong in wrong.items() if is_wrong]:
        said = ", ".join(f"{name}={getattr(sampling, name)!r:.40}" for name in bad)
        raise EngineError(
            f"sampling: {said} out of range; wanted max_tokens >= 1, temperature >= 0, 0 < top_p <= 1, "
            "top_k >= 0, 0 <= min_p <= 1, stop ids from 0 and no empty stop sequence"
        )


def _are_ids(tokens: tuple[int, ...]) -> bool:
    return not tokens or (min(tokens) >= 0 and max(tokens) <= _LAST_ID)


class Sampler:
    """The settings of every row, and the sampling of tokens. One record per row, moved with the row."""

    def __init__(self, rows: int) -> None:
        self.requests = np.zeros(rows, dtype=_REQUEST)

    def set(self, row: int, sampling: Sampling) -> None:
        """Set the settings of row `row`, each value limited to the range of fp32 arithmetic."""
        if sampling.temperature < COLDEST:
            kind = GREEDY
        elif sampling.top_p < 1.0 or sampling.top_k > 0 or sampling.min_p > 0.0:
            kind = TRUNCATED
        else:
            kind = PLAIN if sampling.temperature == 1.0 else TEMPERED
        self.requests[row] = (
            stream(sampling.seed),
            kind,
            min(sampling.temperature, HOTTEST),
            max(sampling.top_p, _LEAST_MASS),
            min(sampling.top_k, _EVERY),
            sampling.min_p,
        )

    def move(self, source: int, target: int) -> None:
        """Row `target` takes over the settings of `source`."""
        self.requests[target] = self.requests[source]

    def draw(self, logits: Tensor, rows: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]) -> Sampled:
        """Sample one token for each row of `logits` [rows, vocabulary] (fp32), at `positions`."""
        requests = self.requests[rows]
        kinds = requests["kind"]
        if (kinds == kinds[0]).all():
            return _draw(int(kinds[0]), logits, requests, positions)
        parts = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
        drawn = [_draw(int(kinds[i[0]]), logits[torch.from_numpy(i)], requests[i], positions[i]) for i in parts]
        back = torch.from_numpy(np.argsort(np.concatenate(parts))).to(logits.device)
        return Sampled(
            torch.cat([part.tokens for part in drawn])[back],
            torch.cat([part.logprobs for part in drawn])[back],
            torch.cat([part.raw for part in drawn])[back],
        )


def _draw(kind: int, logits: Tensor, requests: np.ndarray, positions: npt.NDArray[np.int64]) -> Sampled:
    """Rows of one kind."""
    kernels = library() if kind != TRUNCATED and logits.device.type == "cpu" else None
    if kernels is not None:
        return _draw_native(kernels, logits.contiguous(), requests, positions)
    if kind == GREEDY:
        tokens = logits.argmax(-1, keepdim=True)
        raw = logits.log_softmax(-1).gather(1, tokens).squeeze(1)
        return Sampled(tokens.squeeze(1), torch.zeros_like(raw), raw)
    uniform = torch.from_numpy(uniforms(requests["key"], positions)).to(logits.device)[:, None]
    if kind == TRUNCATED:
        return _draw_truncated(logits, requests, uniform)
    scaled = logits if kind == PLAIN else logits / _column(requests["temperature"], logits)
    logprobs = scaled.log_softmax(-1)
    tokens = _invert(logprobs.exp(), uniform)
    chosen = logprobs.gather(1, tokens).squeeze(1)
    raw = chosen if kind == PLAIN else _raw(logits, tokens)
    return Sampled(tokens.squeeze(1), chosen, raw)


def _draw_native(
    kernels: ctypes.CDLL, logits: Tensor, requests: np.ndarray, positions: npt.NDArray[np.int64]
) -> Sampled:
    """The same in one pass over the logits (`forward/kernels/sampling.h`)."""
    rows, vocabulary = logits.shape
    temperature = np.where(requests["kind"] == GREEDY, 0.0, requests["temperature"])
    uniform = uniforms(requests["key"], positions)
    drawn = Sampled(torch.empty(rows, dtype=torch.long), torch.empty(rows), torch.empty(rows))
    threads = torch.get_num_threads() if logits.numel() >= _SMALL else 1
    arrays: tuple[Tensor | np.ndarray, ...] = (logits, temperature, uniform, drawn.tokens, drawn.logprobs, drawn.raw)
    kernels.draw(threads, count(rows), count(vocabulary), *map(pointer, arrays))
    return drawn


def _draw_truncated(logits: Tensor, requests: np.ndarray, uniform: Tensor) -> Sampled:
    """Temperature, then top-k, then top-p of what is left, then min-p; transformers' order."""
    order, logprobs = _head(logits, requests)
    kept = _keep(logprobs.exp(), requests)
    kept = kept / kept.sum(-1, keepdim=True)
    rank = _invert(kept, uniform)
    tokens = order.gather(1, rank)
    return Sampled(tokens.squeeze(1), kept.gather(1, rank).log().squeeze(1), _raw(logits, tokens))


def _head(logits: Tensor, requests: np.ndarray) -> tuple[Tensor, Tensor]:
    """Tokens from the most probable down, and their tempered log-probs: as many as truncation can keep, or all."""
    scaled = logits / _column(requests["temperature"], logits)
    total = scaled.logsumexp(-1, keepdim=True)
    vocabulary, width = logits.shape[-1], max(_FIRST_WIDTH, 2 * int(requests["top_k"].max()))
    while width < vocabulary // 4:
        tokens = scaled.topk(width, sorted=False).indices.sort().values
        ranked, order = torch.sort(scaled.gather(1, tokens), stable=True, dim=-1, descending=True)
        logprobs = ranked - total
        if (_keep(logprobs.exp(), requests)[:, -1] == 0).all():
            return tokens.gather(1, order), logprobs
        width *= 8
    ranked, order = torch.sort(scaled, stable=True, dim=-1, descending=True)
    return order, ranked - total


def _keep(probs: Tensor, requests: np.ndarray) -> Tensor:
    """`probs` [rows, ranks], sorted downwards, with the truncated ranks at zero."""
    top_k = _column(np.where(requests["top_k"] > 0, requests["top_k"], np.iinfo(np.int32).max), probs)
    kept = probs * (torch.arange(probs.shape[-1], device=probs.device) < top_k)
    mass = kept.cumsum(-1, dtype=torch.float64)
    # Only a top-k cut makes the mass of these ranks the whole: without one it is 1, even where the tail is not here.
    whole = torch.where(top_k < probs.shape[-1], mass[:, -1:], 1.0)
    nucleus = (mass - kept) < _column(requests["top_p"], probs) * whole
    return kept * nucleus * (kept >= _column(requests["min_p"], probs) * kept[:, :1])


def _invert(probs: Tensor, uniform: Tensor) -> Tensor:
    """The first index [rows, 1] whose cumulative probability exceeds `uniform` times the total.

    A row of NaN has none and gets the last index; its log-prob is NaN and tells.
    """
    cumulative = probs.cumsum(-1, dtype=torch.float64)
    return torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True).clamp_(max=probs.shape[-1] - 1)


def _raw(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.gather(1, tokens).squeeze(1) - logits.logsumexp(-1)


def _column(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(like.device)[:, None]
