"""Log-probs of chosen tokens, without holding all logits in memory when the vocabulary is large."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from espalier.lm.decoder import Decoder
from espalier.lm.native.linear import product

CHUNK = 1 << 24
"""Number of logits in memory at a time: 64 MB in fp32."""


def logprobs(
    decoder: Decoder,
    hidden: Tensor,
    targets: Tensor,
    *,
    temperature: float = 1.0,
    entropy: bool = False,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """Log-probs [M] of targets [M] under softmax(logits(hidden [M, d]) / temperature), and its entropy [M] in nats.

    Both are fp32 and differentiable; the head is multiplied in the type of `hidden`, autocast or not. At most `chunk`
    logits exist at a time: beyond that, they are computed again in the backward pass.
    """
    rows = max(1, chunk // decoder.config.vocab_size)
    chosen, entropies = _Logprobs.apply(hidden, decoder.head_weight, targets, temperature, entropy, rows)  # type: ignore[no-untyped-call]
    return chosen, entropies if entropy else None


class _Logprobs(torch.autograd.Function):
    """With z = W h / T and p = softmax(z): log p_t = z_t - lse, and H = lse - sum p z.

    d log p_t / dz = onehot(t) - p;  dH / dz = -p (log p + H).
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float, entropy: bool, rows: int
    ) -> tuple[Tensor, Tensor]:
        whole = len(hidden) <= rows
        chosen, entropies, logp = [], [], None
        for h, t in zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True):
            logp = _logp(h, weight, temperature)
            chosen.append(logp.gather(1, t[:, None])[:, 0])
            if entropy:
                entropies.append(-(logp.exp() * logp).sum(-1))
        ctx.temperature, ctx.entropy, ctx.rows = temperature, entropy, rows
        picked = torch.cat(chosen) if chosen else hidden.new_empty(0, dtype=torch.float32)
        spread = torch.cat(entropies) if entropies else picked.new_empty(0)
        ctx.save_for_backward(hidden, weight, targets, spread, logp if whole else None)
        if not entropy:
            ctx.mark_non_differentiable(spread)
        return picked, spread

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        hidden, weight, targets, spread, kept = ctx.saved_tensors
        by_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        by_weight: Tensor | None = None
        by_chosen = (grads[0] / ctx.temperature)[:, None]
        by_entropy = (grads[1] / ctx.temperature)[:, None] if ctx.entropy else None
        for start in range(0, len(hidden), ctx.rows):
            part = slice(start, start + ctx.rows)
            logp = _logp(hidden[part], weight, ctx.temperature) if kept is None else kept
            by_logit = logp.exp()
            if by_entropy is None:
                by_logit.mul_(-by_chosen[part])
            else:
                by_logit.mul_((logp + spread[part, None]).mul_(-by_entropy[part]).sub_(by_chosen[part]))
            by_logit = by_logit.scatter_add_(1, targets[part, None], by_chosen[part]).to(hidden.dtype)
            if by_hidden is not None:
                by_hidden[part] = product(by_logit, weight.to(hidden.dtype).t())
            if ctx.needs_input_grad[1]:
                added = by_logit.t() @ hidden[part]
                by_weight = added.to(weight.dtype) if by_weight is None else by_weight.add_(added)
        if ctx.needs_input_grad[1] and by_weight is None:
            by_weight = torch.zeros_like(weight)
        return by_hidden, by_weight, None, None, None, None


def _logp(hidden: Tensor, weight: Tensor, temperature: float) -> Tensor:
    with torch.autocast(hidden.device.type, enabled=False):
        logits = product(hidden, weight.to(hidden.dtype))
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return torch.log_softmax(wide if temperature == 1.0 else wide / temperature, dim=-1)
