"""Agreement with the loop oracle to 1e-10 on 200 random ragged batches, in value and in gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rl_oracle as oracle
from rl_batches import algorithms_of_every_kind, batch, counts, random_groups, token_rows

from espalier.rl.algorithms.credit import advantages
from espalier.rl.algorithms.objective import policy_objective
from espalier.rl.algorithms.table import ALGORITHMS, algorithm


@pytest.mark.parametrize("name", ALGORITHMS)
def test_objective_equals_the_oracle(name: str) -> None:
    rng = np.random.default_rng(list(name.encode()))
    kinds = algorithms_of_every_kind(rng)
    for _ in range(200):
        row = algorithm(name, **next(kinds))
        rows = token_rows(rng)
        loss, _ = policy_objective(row, batch(rows), counts(rows, row.constant))
        assert loss.item() == pytest.approx(oracle.objective(row, rows), abs=1e-10), row


def test_double_sided_equals_the_oracle() -> None:
    rng = np.random.default_rng(5)
    row = algorithm("rloo", correction="double_sided", clip_high=0.28)
    for _ in range(200):
        rows = token_rows(rng)
        loss, _ = policy_objective(row, batch(rows), counts(rows))
        assert loss.item() == pytest.approx(oracle.objective(row, rows), abs=1e-10)


@pytest.mark.parametrize("name", [*ALGORITHMS, "double_sided", "dual_clip"])
def test_gradient_equals_finite_differences(name: str) -> None:
    special: dict[str, Any] = {
        "double_sided": algorithm("rloo", correction="double_sided"),
        "dual_clip": algorithm("dapo", dual_clip=1.5),
    }
    rng = np.random.default_rng(3)
    kinds = algorithms_of_every_kind(rng)
    for _ in range(10):
        row = special[name] if name in special else algorithm(name, **next(kinds))
        rows = token_rows(rng, spread=0.5)
        data = batch(rows)
        policy_objective(row, data, counts(rows, row.constant))[0].backward()
        assert data.new.grad is not None
        for token, got in zip([t for r in rows for t in r], data.new.grad.tolist(), strict=True):
            held, step = token.held, 1e-6
            token.new = held + step
            above = oracle.objective(row, rows)
            token.new = held - step
            below = oracle.objective(row, rows)
            token.new = held
            assert got == pytest.approx((above - below) / (2 * step), abs=1e-7), row


@pytest.mark.parametrize("name", ALGORITHMS)
def test_credit_equals_the_oracle(name: str) -> None:
    rng = np.random.default_rng(list(name.encode()))
    for _ in range(200):
        groups = random_groups(rng)
        row = algorithm(
            name,
            kl_coef=float(rng.choice([0.0, 0.2])),
            kl_as="reward",
            kl_estimator=str(rng.choice(["k1", "k2", "k3"])),
            gamma=float(rng.choice([1.0, 0.9])),
            lam=float(rng.choice([1.0, 0.8])),
            whiten=str(rng.choice(["none", "batch", "task"])),
        )
        trajectories = [t for group in groups for t in group]
        values = [rng.normal(size=len(t.tokens)).tolist() for t in trajectories] if row.needs_values else None
        gaps = [rng.normal(size=len(t.tokens)).tolist() for t in trajectories] if row.needs_reference else None
        credit = advantages(row, groups, values, gaps)
        expected, returns = _credit(row, groups, values, gaps)
        for got, want in zip(credit.advantages, expected, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-10, rtol=1e-10)
        assert (credit.returns is None) == (values is None)
        for got, want in zip(credit.returns or [], returns, strict=bool(credit.returns)):
            np.testing.assert_allclose(got, want, atol=1e-10)


def _credit(row: Any, groups: Any, values: Any, gaps: Any) -> tuple[list[list[float]], list[list[float]]]:
    rows = [t for group in groups for t in group]
    ids = [g for g, group in enumerate(groups) for _ in group]
    penalties = [
        [row.kl_coef * oracle.kl(gaps[i][t], row.kl_estimator) * m if gaps else 0.0 for t, m in enumerate(r.mask)]
        for i, r in enumerate(rows)
    ]
    result, returns = [], []
    if row.advantage in ("reward", "gae"):
        for i, r in enumerate(rows):
            rewards = [-p for p in penalties[i]]
            if any(r.mask):
                rewards[max(t for t, m in enumerate(r.mask) if m)] += r.reward
            if values:
                a, g = oracle.gae(rewards, values[i], r.mask, row.gamma, row.lam)
                result.append(a)
                returns.append(g)
            else:
                result.append(oracle.returns_to_go(rewards, r.mask, row.gamma))
    else:
        totals = [r.reward - sum(p) for r, p in zip(rows, penalties, strict=True)]
        flat = oracle.group_advantages(totals, ids, row.advantage)
        result = [[a * m for m in r.mask] for a, r in zip(flat, rows, strict=True)]
    if row.whiten != "none":
        at = [(i, t) for i, r in enumerate(rows) for t, m in enumerate(r.mask) if m]
        parts = [rows[i].task if row.whiten == "task" else 0 for i, _ in at]
        for (i, t), value in zip(at, oracle.whiten([result[i][t] for i, t in at], parts), strict=True):
            result[i][t] = value
    return result, returns
