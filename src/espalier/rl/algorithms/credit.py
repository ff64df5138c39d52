"""Computes the advantage of every token from rewards: once per step, over all groups."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from espalier.core.errors import ConfigError, EspalierError
from espalier.rl.algorithms.advantages import Floats, Ints, group_mean, group_std, leave_one_out, whiten
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.divergence import kl_estimate
from espalier.rl.algorithms.gae import gae, returns_to_go
from espalier.rl.algorithms.plugin import AlgorithmError, PluginConfig
from espalier.rl.trajectory import Group, Trajectory


class CreditError(EspalierError):
    """Rows cannot be compared: one lacks a reward, or a group has too few."""


@dataclass(frozen=True, slots=True)
class Credit:
    """One number per token of each row (prompt included), in the order of the groups and of their rows.

    advantages: 0.0 where the mask is False. returns: the targets of the critic, 0.0 where the mask is False, and NaN in
    rows that came with their own advantages, because the critic is not trained on them. None without a critic.
    """

    advantages: list[list[float]]
    returns: list[list[float]] | None = None


def advantages(
    algorithm: Algorithm,
    groups: list[Group],
    values: list[list[float]] | None = None,
    kl: list[list[float]] | None = None,
) -> Credit:
    """Compute the advantage of every sampled token of every row.

    values: the critic's value of the state before each token. kl: log prox/ref of each token, needed if the KL is part
    of the reward. Both are aligned as `Credit` is; entries where the mask is False are ignored. A row's reward is
    credited at its last sampled token. A row whose `advantages` are set keeps them and is used for nothing else.

    Raises CreditError if a row has no reward, or a group that needs a baseline has one row. Raises ConfigError if
    `values` or `kl` is missing or not needed (a KL in the loss and in the reward would count twice).
    """
    _check_inputs(algorithm, values, kl)
    rows = [row for group in groups for row in group]
    ids = np.array([g for g, group in enumerate(groups) for _ in group], np.int64)
    open_rows = [i for i, row in enumerate(rows) if row.advantages is None]
    flat = _Flat.of([rows[i] for i in open_rows])
    penalty = np.zeros(flat.size)
    if kl is not None:
        penalty = algorithm.kl_coef * kl_estimate(flat.take([kl[i] for i in open_rows]), algorithm.kl_estimator)
        if algorithm.kl_center and len(penalty):
            penalty = penalty - flat.evenly(penalty.sum() / len(flat.rewards))
    baseline_values = flat.take([values[i] for i in open_rows]) if values is not None else None
    credit, returns = _estimate(algorithm, flat, ids[open_rows], penalty, baseline_values)
    if algorithm.whiten != "none":
        tasks = flat.tasks if algorithm.whiten == "task" else np.zeros(len(open_rows), np.int64)
        credit = whiten(credit, np.repeat(tasks, flat.lengths))
    result = [row.advantages if row.advantages is not None else [] for row in rows]
    for i, column in zip(open_rows, flat.spread(credit), strict=True):
        result[i] = column
    if returns is None:
        return Credit(result)
    targets = [[math.nan] * len(row.tokens) for row in rows]
    for i, column in zip(open_rows, flat.spread(returns), strict=True):
        targets[i] = column
    return Credit(result, targets)


def _check_inputs(algorithm: Algorithm, values: object, kl: object) -> None:
    if algorithm.needs_values != (values is not None):
        need = (
            "needs a critic's values: set learner.critic" if values is None else "uses no critic: unset learner.critic"
        )
        raise ConfigError(f"algorithm.advantage={algorithm.advantage} {need}")
    in_reward = algorithm.needs_reference and algorithm.kl_as == "reward"
    if in_reward and kl is None:
        raise ConfigError("algorithm.kl_as=reward needs log-probs under a reference: set learner.reference")
    if kl is not None and not in_reward:
        raise ConfigError(
            "a KL was given for the reward, but algorithm.kl_as=loss has it already: it would count twice"
        )


def _estimate(
    algorithm: Algorithm, flat: _Flat, ids: Ints, penalty: Floats, values: Floats | None
) -> tuple[Floats, Floats | None]:
    """Advantages (and returns) of all sampled tokens, before whitening."""
    if algorithm.plugin and algorithm.plugin.advantage:
        return _of_plugin(algorithm.plugin, flat, ids, penalty), None
    if algorithm.needs_group:
        totals = flat.rewards - np.bincount(flat.row, penalty, len(flat.rewards))
        estimator = {"group_mean": group_mean, "group_std": group_std, "leave_one_out": leave_one_out}
        return np.repeat(estimator[algorithm.advantage](totals, ids), flat.lengths), None
    rewards = flat.by_token(turns=algorithm.turn_rewards) - penalty
    if values is None:
        return returns_to_go(rewards, flat.offsets, algorithm.gamma), None
    return gae(rewards, values, flat.offsets, algorithm.gamma, algorithm.lam)


def _of_plugin(plugin: PluginConfig, flat: _Flat, ids: Ints, penalty: Floats) -> Floats:
    rewards = flat.rewards - np.bincount(flat.row, penalty, len(flat.rewards))
    inputs = {"rewards": rewards, "group": ids, "lengths": flat.lengths, "rows": flat.rows}
    found = plugin.call("advantage", inputs)
    try:
        parts = [np.broadcast_to(np.asarray(part, np.float64), n) for part, n in zip(found, flat.lengths, strict=True)]
    except (TypeError, ValueError) as error:
        raise AlgorithmError(
            f"algorithm.plugin.advantage: {plugin.advantage} must give a number for each of {len(flat.rewards)} rows, "
            f"or a list of one for each of its sampled tokens ({error})"
        ) from None
    credit = np.concatenate(parts) if parts else np.zeros(0)
    if not np.isfinite(credit).all():
        raise AlgorithmError(f"algorithm.plugin.advantage: {plugin.advantage} returned numbers that are not finite")
    return credit


@dataclass(frozen=True, slots=True)
class _Flat:
    """The sampled tokens of `rows`, end to end. lengths, rewards, tasks: [R]; offsets: [R+1]; row: [size]."""

    rows: list[Trajectory]
    masks: list[np.ndarray]
    lengths: np.ndarray
    offsets: np.ndarray
    row: np.ndarray
    rewards: Floats
    tasks: np.ndarray

    @staticmethod
    def of(rows: list[Trajectory]) -> _Flat:
        masks = [np.array(row.mask, bool) for row in rows]
        lengths = np.array([int(m.sum()) for m in masks], np.int64)
        names = {name: i for i, name in enumerate(sorted({row.task for row in rows}))}
        return _Flat(
            rows=rows,
            masks=masks,
            lengths=lengths,
            offsets=np.concatenate(([0], np.cumsum(lengths))),
            row=np.repeat(np.arange(len(rows)), lengths),
            rewards=np.array([_reward(row) for row in rows], np.float64),
            tasks=np.array([names[row.task] for row in rows], np.int64),
        )

    @property
    def size(self) -> int:
        return int(self.offsets[-1])

    def by_token(self, *, turns: bool) -> Floats:
        """[size] the reward of each token: turn rewards at the ends of their turns, and the rest of the row's reward at
        its last token.
        """
        result, rest = np.zeros(self.size), self.rewards.copy()
        for i, row in enumerate(self.rows if turns else ()):
            sampled = np.cumsum(self.masks[i])
            for turn in row.turns:
                if turn.reward is None:
                    continue
                rest[i] -= turn.reward  # also where its tokens are another row's, before a fork
                if turn.end and sampled[turn.end - 1]:
                    result[self.offsets[i] + sampled[turn.end - 1] - 1] += turn.reward
        has_tokens = self.lengths > 0
        result[self.offsets[1:][has_tokens] - 1] += rest[has_tokens]
        return result

    def evenly(self, total: float) -> Floats:
        """[size] `total` for each row, spread over its tokens."""
        return np.repeat(total / np.maximum(self.lengths, 1), self.lengths)

    def take(self, columns: list[list[float]]) -> Floats:
        """Values at the sampled tokens, from one list per row over all its tokens."""
        parts = [np.array(column, np.float64)[mask] for column, mask in zip(columns, self.masks, strict=True)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def spread(self, values: Floats) -> list[list[float]]:
        """The inverse of `take`, 0.0 elsewhere."""
        result = []
        for mask, start, end in zip(self.masks, self.offsets[:-1], self.offsets[1:], strict=True):
            column = np.zeros(len(mask))
            column[mask] = values[start:end]
            result.append(column.tolist())
        return result


def _reward(row: Trajectory) -> float:
    if row.reward is None:
        raise CreditError(f"row {row.key} (group {row.group}, member {row.member}) has no reward: score it first")
    return row.reward
