"""Advantages and losses once more, in float64 loops, from the formulas and not from the code under test.

`held` repeats `new` wherever a formula stops the gradient, so that finite differences over `new` alone give the
gradient the formula means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


def mean(xs: list[float]) -> float:
    return math.fsum(xs) / len(xs)


def group_advantages(rewards: list[float], groups: list[int], kind: str) -> list[float]:
    result = []
    for i, reward in enumerate(rewards):
        own = [r for r, g in zip(rewards, groups, strict=True) if g == groups[i]]
        others = [r for j, r in enumerate(rewards) if groups[j] == groups[i] and j != i]
        if kind == "leave_one_out":
            result.append(reward - mean(others))
            continue
        centred = reward - mean(own)
        if kind == "group_std":
            std = math.sqrt(sum((r - mean(own)) ** 2 for r in own) / (len(own) - 1))
            centred /= std + 1e-6
        result.append(centred)
    return result


def whiten(values: list[float], parts: list[Any]) -> list[float]:
    result = []
    for value, part in zip(values, parts, strict=True):
        own = [v for v, p in zip(values, parts, strict=True) if p == part]
        std = math.sqrt(mean([(v - mean(own)) ** 2 for v in own]))
        result.append(0.0 if max(own) == min(own) else (value - mean(own)) / std)
    return result


def gae(
    rewards: list[float], values: list[float], mask: list[bool], gamma: float, lam: float
) -> tuple[list[float], list[float]]:
    """One row with its observation tokens; every token looks for the next sampled one."""
    n = len(mask)
    advantages, returns = [0.0] * n, [0.0] * n
    for t in reversed(range(n)):
        if not mask[t]:
            continue
        later = [s for s in range(t + 1, n) if mask[s]]
        ahead = values[later[0]] if later else 0.0
        carried = advantages[later[0]] if later else 0.0
        advantages[t] = rewards[t] + gamma * ahead - values[t] + gamma * lam * carried
        returns[t] = advantages[t] + values[t]
    return advantages, returns


def returns_to_go(rewards: list[float], mask: list[bool], gamma: float) -> list[float]:
    sampled = [t for t in range(len(mask)) if mask[t]]
    result = [0.0] * len(mask)
    for at, t in enumerate(sampled):
        result[t] = sum(gamma**power * rewards[s] for power, s in enumerate(sampled[at:]))
    return result


def kl(d: float, kind: str) -> float:
    d = max(-20.0, min(20.0, d))
    return {"k1": d, "k2": d * d / 2, "k3": min(math.exp(-d) - 1 + d, 10.0)}[kind]


@dataclass
class Token:
    new: float
    held: float
    behave: float
    prox: float
    ref: float
    entropy: float
    advantage: float
    weight: float


def ratio(above: float, below: float) -> float:
    return math.exp(max(-20.0, min(20.0, above - below)))


def clip_loss(r: float, a: float, low: float, high: float, dual: float | None) -> float:
    clipped = min(max(r, 1 - low), 1 + high)
    loss = max(-a * r, -a * clipped)
    if dual is not None and a < 0:
        loss = min(loss, -a * dual)
    return loss


def token_loss(algorithm: Any, row: list[Token], t: Token) -> float:
    uses_prox = algorithm.correction in ("none", "tis", "icepop", "decoupled")
    low, high, a = algorithm.clip_low, algorithm.clip_high, t.advantage

    def old(u: Token) -> float:
        return u.prox if uses_prox else u.behave

    if algorithm.loss == "reinforce":
        loss = -a * t.new
    elif algorithm.loss == "ppo":
        loss = clip_loss(ratio(t.new, old(t)), a, low, high, algorithm.dual_clip)
    elif algorithm.loss == "cispo":
        loss = -min(max(ratio(t.held, old(t)), 1 - low), 1 + high) * a * t.new
    else:
        log_s = mean([u.held - old(u) for u in row if u.weight])
        s = math.exp(max(-20.0, min(10.0, log_s))) * math.exp(t.new - t.held)
        loss = clip_loss(s, a, low, high, None)
    return loss * importance(algorithm, row, t)


def importance(algorithm: Any, row: list[Token], t: Token) -> float:
    w = ratio(t.prox, t.behave)
    kind = algorithm.correction
    if kind == "tis":
        return min(w, algorithm.correction_high)
    if kind == "icepop":
        return w if algorithm.correction_low <= w <= algorithm.correction_high else 0.0
    if kind == "decoupled":
        return w
    if kind == "double_sided":
        f = ratio(t.held, t.behave)
        return f if 1 - algorithm.clip_low < f < 1 + algorithm.clip_high else 0.0
    if kind == "sequence_mask":
        drift = mean([u.behave - u.held for u in row if u.weight])
        return 0.0 if t.advantage < 0 and drift > -math.log(algorithm.correction_low) else 1.0
    return 1.0


def aggregate(rows: list[list[tuple[float, float]]], how: str, length: float | None) -> float:
    """Rows of (loss, weight); a token with weight 0 is not there."""
    kept = [[(x, w) for x, w in row if w] for row in rows]
    kept = [row for row in kept if row]
    if not kept:
        return 0.0
    sums = [sum(x * w for x, w in row) for row in kept]
    if how == "token":
        return sum(sums) / sum(len(row) for row in kept)
    if how == "sequence":
        return mean([s / len(row) for s, row in zip(sums, kept, strict=True)])
    if how == "sequence_sum":
        return mean(sums)
    divisor = length if length is not None else max(len(row) for row in kept)
    return mean(sums) / divisor


def objective(algorithm: Any, rows: list[list[Token]]) -> float:
    policy, divergence = [], []
    for row in rows:
        policy.append(
            [
                (token_loss(algorithm, row, t) - algorithm.entropy_coef * t.entropy, t.weight)
                if t.weight
                else (0.0, 0.0)
                for t in row
            ]
        )
        divergence.append(
            [
                (
                    min(ratio(t.held, t.behave), algorithm.correction_high) * kl(t.new - t.ref, algorithm.kl_estimator),
                    t.weight,
                )
                for t in row
            ]
        )
    total = aggregate(policy, algorithm.aggregate, algorithm.constant)
    if algorithm.kl_coef and algorithm.kl_as == "loss":
        total += algorithm.kl_coef * aggregate(divergence, algorithm.aggregate, algorithm.constant)
    return total
