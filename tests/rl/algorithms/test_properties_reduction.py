"""Properties of aggregation and of the objective as a whole: P12, P17 of the algorithms page; statistics."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from rl_batches import batch, counts, token_rows

from espalier.core.errors import ConfigError
from espalier.rl.algorithms.objective import Denominators, TokenBatch, merge, policy_objective
from espalier.rl.algorithms.reduce import reduce
from espalier.rl.algorithms.table import ALGORITHMS, algorithm

AGGREGATES = ["token", "sequence", "sequence_sum", "constant"]
LOSS, WEIGHT, ROW = torch.tensor([1.0, 2.0, 3.0, 10.0]), torch.ones(4), torch.tensor([0, 0, 0, 1])


@pytest.mark.parametrize(
    ("how", "expected"), [("token", 4.0), ("sequence", 6.0), ("sequence_sum", 8.0), ("constant", 16 / (2 * 5))]
)
def test_aggregations_by_hand(how: Any, expected: float) -> None:
    assert reduce(LOSS, WEIGHT, ROW, how, Denominators.count([3, 1], 5)).item() == pytest.approx(expected)


def test_weights_scale_the_loss_and_zero_removes_a_token() -> None:
    weight = torch.tensor([0.5, 0.0, 0.5, 1.0])
    loss = torch.tensor([1.0, float("inf"), 3.0, 10.0])
    assert reduce(loss, weight, ROW, "token", Denominators.count([2, 1])).item() == pytest.approx(12 / 3)
    assert reduce(loss, weight, ROW, "sequence", Denominators.count([2, 1])).item() == pytest.approx((1 + 10) / 2)


def test_counting() -> None:
    assert Denominators.count([3, 0, 1]) == Denominators(tokens=4.0, rows=2.0, constant=0.0)
    assert Denominators.count([3, 0, 1], 10) == Denominators(tokens=4.0, rows=2.0, constant=20.0)
    assert Denominators.count([]) == Denominators(0.0, 0.0, 0.0)


def test_p12_equal_lengths_make_aggregations_proportional() -> None:
    loss, row = torch.randn(12, dtype=torch.float64), torch.arange(3).repeat_interleave(4)
    results = {h: reduce(loss, torch.ones(12), row, h, Denominators.count([4] * 3, 4)).item() for h in AGGREGATES}
    assert results["sequence"] == pytest.approx(results["token"])
    assert results["constant"] == pytest.approx(results["token"])
    assert results["sequence_sum"] == pytest.approx(4 * results["token"])


@pytest.mark.parametrize("how", AGGREGATES)
def test_p12_micro_batches_add_up_only_under_global_counts(how: Any) -> None:
    split = [(LOSS[:3], ROW[:3], [3]), (LOSS[3:], ROW[3:] - 1, [1])]
    whole = reduce(LOSS, WEIGHT, ROW, how, Denominators.count([3, 1], 3))
    parts = [reduce(x, torch.ones(len(x)), r, how, Denominators.count([3, 1], 3)) for x, r, _ in split]
    assert sum(parts).item() == pytest.approx(whole.item())
    local = [reduce(x, torch.ones(len(x)), r, how, Denominators.count(n, 3)).item() / 2 for x, r, n in split]
    if how == "token":
        assert sum(local) != pytest.approx(whole.item())


def pick(data: TokenBatch, index: torch.Tensor) -> TokenBatch:
    columns = {f.name: getattr(data, f.name) for f in fields(data)}
    taken = {name: None if column is None else column[index] for name, column in columns.items()}
    _, taken["row"] = torch.unique(data.row[index], return_inverse=True)
    return TokenBatch(**taken)


def everything(name: str) -> Any:
    return algorithm(name, kl_coef=0.2, kl_as="loss", kl_estimator="k3", entropy_coef=0.1)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_p17_micro_batching_changes_neither_loss_nor_gradient_nor_statistics(name: str) -> None:
    rng = np.random.default_rng(2)
    row = everything(name)
    for _ in range(10):
        rows = token_rows(rng, rows=7)
        whole = batch(rows)
        loss, stats = policy_objective(row, whole, counts(rows))
        loss.backward()
        parts = batch(rows)
        deal = torch.from_numpy(rng.integers(0, 3, len(rows)))[parts.row]
        results = [policy_objective(row, pick(parts, torch.nonzero(deal == m)[:, 0]), counts(rows)) for m in range(3)]
        total = sum(result[0] for result in results)
        assert isinstance(total, torch.Tensor)
        total.backward()
        assert total.item() == pytest.approx(loss.item(), abs=1e-12)
        torch.testing.assert_close(parts.new.grad, whole.new.grad, rtol=1e-10, atol=1e-12)
        assert merge(result[1] for result in results) == pytest.approx(merge([stats]), abs=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_p17_padding_changes_nothing(name: str, side: str) -> None:
    rng = np.random.default_rng(6)
    row = everything(name)
    rows = token_rows(rng)
    padded = []
    for tokens in rows:
        padding = [replace(t, weight=0.0, advantage=50.0, new=-9.0) for t in token_rows(rng, rows=1)[0]]
        padded.append(padding + tokens if side == "left" else tokens + padding)
    plain, _ = policy_objective(row, batch(rows), counts(rows))
    more, _ = policy_objective(row, batch(padded), counts(padded))
    assert more.item() == pytest.approx(plain.item(), abs=1e-12)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_nothing_to_train_is_zero_and_never_nan(name: str) -> None:
    empty = batch([])
    empty = replace(empty, row=empty.row.long())
    unweighted = batch([[replace(t, weight=0.0) for t in row] for row in token_rows(np.random.default_rng(0))])
    for data in (empty, unweighted):
        loss, stats = policy_objective(everything(name), data, Denominators.count([]))
        loss.backward()
        assert loss.item() == 0.0
        assert all(np.isfinite(value) for value in merge([stats]).values())
        assert data.new.grad is not None
        assert not data.new.grad.any()


def test_statistics_by_hand() -> None:
    log = torch.log(torch.tensor([1.0, 1.5, 0.5, 1.5], dtype=torch.float64))
    data = TokenBatch(
        new=log.requires_grad_(),
        behave=torch.zeros(4, dtype=torch.float64),
        advantage=torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64),
        weight=torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64),
        row=torch.tensor([0, 0, 1, 1]),
    )
    _, stats = policy_objective(algorithm("grpo", aggregate="token"), data, Denominators.count([2, 1]))
    assert merge([stats]) == pytest.approx(
        {"loss/rl": (-1 - 1.2 + 0.8) / 3, "clip/low": 1 / 3, "clip/high": 1 / 3, "ratio/mean": 1.0, "ratio/max": 1.5}
    )
    _, stats = policy_objective(algorithm("grpo", correction="icepop"), data, Denominators.count([2, 1]))
    figures = merge([stats])
    assert (figures["correction/mean"], figures["correction/masked"]) == pytest.approx((1.0, 0.0))
    tight = algorithm("grpo", correction="icepop", correction_low=0.9, correction_high=1.1)
    figures = merge([policy_objective(tight, data, Denominators.count([2, 1]))[1]])
    assert (figures["correction/mean"], figures["correction/masked"]) == pytest.approx((1 / 3, 2 / 3))


def test_without_prox_the_weights_have_not_moved() -> None:
    rows = token_rows(np.random.default_rng(8))
    data = batch(rows)
    for kind in ("none", "tis", "icepop", "decoupled"):
        row = algorithm("dapo", correction=kind)
        given, _ = policy_objective(row, replace(data, prox=data.new.detach().clone()), counts(rows))
        absent, _ = policy_objective(row, replace(data, prox=None), counts(rows))
        assert given.item() == absent.item()


def test_reference_weights_have_their_own_counts() -> None:
    rows = token_rows(np.random.default_rng(9))
    data = batch(rows)
    row = algorithm("dapo", kl_coef=0.5)
    both = replace(data, weight=torch.zeros_like(data.weight), ref_weight=torch.ones_like(data.weight))
    loss, stats = policy_objective(row, both, Denominators.count([]), Denominators.count([len(r) for r in rows]))
    importance = (data.new.detach() - data.behave).exp().clamp(max=2.0)
    expected = 0.5 * (importance * 0.5 * (data.new - data.ref) ** 2).mean()  # type: ignore[operator]
    assert loss.item() == pytest.approx(expected.item())
    assert stats["loss/ref"].item() == pytest.approx(expected.item())


def test_missing_columns_are_named() -> None:
    rows = token_rows(np.random.default_rng(1))
    data = replace(batch(rows), ref=None, entropy=None)
    with pytest.raises(ConfigError, match="reference"):
        policy_objective(algorithm("grpo", kl_coef=0.1), data, counts(rows))
    with pytest.raises(ConfigError, match="entropy"):
        policy_objective(algorithm("grpo", entropy_coef=0.1), data, counts(rows))
