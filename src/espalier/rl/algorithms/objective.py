"""The loss of one micro-batch (policy, KL to the reference, entropy bonus) and its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from espalier.core.errors import ConfigError
from espalier.rl.algorithms import correction, policy
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.divergence import kl_loss
from espalier.rl.algorithms.plugin import AlgorithmError, PluginConfig
from espalier.rl.algorithms.policy import TokenLoss
from espalier.rl.algorithms.reduce import Denominators, reduce

__all__ = ["Denominators", "TokenBatch", "merge", "policy_objective"]

Stats = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """The trainable tokens of whole rows, flat: every tensor is [M].

    new: log-prob under the current weights, with gradient. behave: the engine's log-prob when it sampled. advantage: of
    each token. weight: in the policy loss; 0 masks the token. row: Long, the token's row in this micro-batch; a row is
    never divided between micro-batches. prox: log-prob under the weights at the start of the step; None before the
    first optimizer update, when it equals `new`. ref: log-prob under the reference; needed with `kl_coef` > 0 and
    `kl_as` = loss. ref_weight: weight in the KL loss; None: `weight`. entropy: of the token's distribution, with
    gradient if `entropy_coef` > 0.
    """

    new: Tensor
    behave: Tensor
    advantage: Tensor
    weight: Tensor
    row: Tensor
    prox: Tensor | None = None
    ref: Tensor | None = None
    entropy: Tensor | None = None
    ref_weight: Tensor | None = None


def policy_objective(
    algorithm: Algorithm,
    batch: TokenBatch,
    denominators: Denominators,
    ref: Denominators | None = None,
    measured: float | None = None,
) -> tuple[Tensor, Stats]:
    """This micro-batch's share of the step's loss (a scalar to call backward on), and statistics to `merge`.

    denominators: counts of `weight` over the whole optimizer step. ref: counts of `ref_weight`, where given. measured:
    tokens of the step that are computed at all, where some are left out because they cannot move the weights.

    Statistics, detached scalars. Each is this micro-batch's share of a mean over the measured tokens, so shares add up;
    names ending in /max take the largest. loss/rl: policy loss with entropy bonus. loss/ref: KL loss times `kl_coef`.
    clip/low, clip/high: tokens where a bound of the ratio is in force. ratio/mean, ratio/max: new over old. kl/ref: k3.
    entropy. correction/mean, correction/masked: importance weight, and tokens it leaves out.
    """
    present = batch.weight != 0
    token = _token_loss(algorithm, batch, present.to(batch.new.dtype))
    weight = _correction_weight(algorithm, batch, present.to(batch.new.dtype))
    per_token = token.loss if weight is None else token.loss * weight
    if algorithm.entropy_coef:
        if batch.entropy is None:
            raise ConfigError("algorithm.entropy_coef is set, but the batch has no entropy")
        per_token = per_token - algorithm.entropy_coef * batch.entropy
    loss = reduce(per_token, batch.weight, batch.row, algorithm.aggregate, denominators)
    stats = {"loss/rl": loss.detach()} | _report(
        batch, token, weight, present, denominators.tokens if measured is None else measured
    )
    if algorithm.needs_reference and algorithm.kl_as == "loss":
        divergence = algorithm.kl_coef * _reference_loss(algorithm, batch, ref or denominators)
        stats["loss/ref"] = divergence.detach()
        loss = loss + divergence
    return loss, stats


def merge(parts: Iterable[Mapping[str, Tensor] | Mapping[str, float]]) -> dict[str, float]:
    """The statistics of a whole optimizer step from those of its micro-batches."""
    result: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            if name.endswith("/max"):
                result[name] = max(float(value), result.get(name, float("-inf")))
            else:
                result[name] = result.get(name, 0.0) + float(value)
    return result


def _old(algorithm: Algorithm, batch: TokenBatch) -> Tensor:
    """The denominator of the policy ratio."""
    if algorithm.plugin and algorithm.plugin.correction:
        return _prox(batch)
    return _prox(batch) if algorithm.correction in ("none", "tis", "icepop", "decoupled") else batch.behave


def _prox(batch: TokenBatch) -> Tensor:
    return batch.new.detach() if batch.prox is None else batch.prox


def _token_loss(algorithm: Algorithm, batch: TokenBatch, present: Tensor) -> TokenLoss:
    new, old, adv = batch.new, _old(algorithm, batch), batch.advantage
    low, high = algorithm.clip_low, algorithm.clip_high
    if algorithm.plugin and algorithm.plugin.loss:
        loss = _of_plugin(algorithm.plugin, "loss", batch, present, {"old": old})
        never = torch.zeros_like(present, dtype=torch.bool)
        return TokenLoss(loss, policy.log_ratio(new.detach(), old).exp(), never, never)
    if algorithm.loss == "reinforce":
        return policy.reinforce(new, old, adv)
    if algorithm.loss == "ppo":
        return policy.ppo_clip(new, old, adv, low=low, high=high, dual=algorithm.dual_clip)
    if algorithm.loss == "gspo":
        return policy.gspo(new, old, adv, present, batch.row, low=low, high=high)
    return policy.cispo(new, old, adv, low=low, high=high)


def _correction_weight(algorithm: Algorithm, batch: TokenBatch, present: Tensor) -> Tensor | None:
    """[M] importance weights, or None where all are one."""
    if algorithm.plugin and algorithm.plugin.correction:
        return _of_plugin(algorithm.plugin, "correction", batch, present, {}).detach()
    new, behave = batch.new, batch.behave
    low, high = algorithm.correction_low, algorithm.correction_high
    if algorithm.correction == "tis":
        return correction.truncated_is(_prox(batch), behave, cap=high)
    if algorithm.correction == "icepop":
        return correction.icepop(_prox(batch), behave, low=low, high=high)
    if algorithm.correction == "decoupled":
        return correction.decoupled(_prox(batch), behave)
    if algorithm.correction == "sequence_mask":
        return correction.sequence_mask(new, behave, batch.advantage, present, batch.row, low=low)
    if algorithm.correction == "double_sided":
        return correction.double_sided(new, behave, low=algorithm.clip_low, high=algorithm.clip_high)
    return None


def _of_plugin(
    plugin: PluginConfig,
    part: Literal["loss", "correction"],
    batch: TokenBatch,
    present: Tensor,
    more: dict[str, Tensor],
) -> Tensor:
    """[M] what a function of the user's own gives."""
    own = {"new": batch.new, "behave": batch.behave, "prox": _prox(batch), "advantage": batch.advantage}
    found = plugin.call(part, own | {"row": batch.row, "present": present} | more)
    name = f"algorithm.plugin.{part}: {plugin.named[part]}"
    if not isinstance(found, Tensor) or found.shape != batch.new.shape:
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise AlgorithmError(f"{name} must give a tensor of {len(batch.new)} numbers, one for each token, not {shape}")
    if part == "loss" and batch.new.requires_grad and not found.requires_grad:
        raise AlgorithmError(f"{name} returned a loss without a gradient: it must depend on `new`")
    return found


def _reference_loss(algorithm: Algorithm, batch: TokenBatch, denominators: Denominators) -> Tensor:
    """KL to the reference, aggregated. Tokens of another policy are weighted by new/behave, truncated."""
    if batch.ref is None:
        raise ConfigError("algorithm.kl_coef is set, but the batch has no reference log-probs: set learner.reference")
    importance = correction.truncated_is(batch.new.detach(), batch.behave, cap=algorithm.correction_high)
    estimate = importance * kl_loss(batch.new, batch.ref, algorithm.kl_estimator)
    weight = batch.weight if batch.ref_weight is None else batch.ref_weight
    return reduce(estimate, weight, batch.row, algorithm.aggregate, denominators)


@torch.no_grad()
def _report(batch: TokenBatch, token: TokenLoss, weight: Tensor | None, present: Tensor, tokens: float) -> Stats:
    def share(values: Tensor) -> Tensor:
        return torch.where(present, values.to(batch.new.dtype), 0.0).sum() / max(tokens, 1.0)

    stats = {
        "clip/low": share(token.low),
        "clip/high": share(token.high),
        "ratio/mean": share(token.ratio),
        "ratio/max": torch.where(present, token.ratio, 0.0).amax() if len(present) else batch.new.new_zeros(()),
    }
    if batch.entropy is not None:
        stats["entropy"] = share(batch.entropy)
    if batch.ref is not None:
        stats["kl/ref"] = share(kl_loss(batch.new, batch.ref, "k3"))
    if weight is not None:
        stats |= {"correction/mean": share(weight), "correction/masked": share(weight == 0)}
    return stats
