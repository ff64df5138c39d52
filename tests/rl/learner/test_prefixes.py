"""Rows that begin alike are trained as if each were computed alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_models import VOCABULARY, decoder

from espalier.rl.learner.batches.pack import Packed, columns, pack
from espalier.rl.learner.stages import hidden_states, policy_pass, token_logprobs
from espalier.rl.trajectory import Trajectory

CPU = torch.device("cpu")


def tree(seed: int) -> list[Trajectory]:
    """Rows of two prompts, some of them forks of others at random places."""
    random = np.random.default_rng(seed)
    rows: list[Trajectory] = []
    for member in range(int(random.integers(2, 7))):
        if rows and random.random() < 0.5:
            parent = rows[int(random.integers(len(rows)))]
            child = parent.fork(int(random.integers(1, len(parent.tokens) + 1)), member)
        else:
            child = Trajectory("t", "k", member=member)
            child.observe([[1, 2, 3], [1, 2, 4, 5]][int(random.integers(2))])
        count = int(random.integers(1, 6))
        child.sample(random.integers(0, VOCABULARY, count).tolist(), [-1.0] * count, [0] * count)
        rows.append(child)
    return rows


def alone(batches: list[Packed], model: torch.nn.Module) -> list[float]:
    return [value for batch in batches for value in policy_pass(model, 1.0)(batch).tolist()]  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["qwen3", "glm4"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_log_probs_and_gradients_are_those_of_rows_alone(family: str, seed: int) -> None:
    rows, model = tree(seed), decoder(family=family)
    table = columns(rows)
    together = pack(table, np.arange(len(rows)), CPU)
    apart = [pack(table, np.array([i]), CPU) for i in range(len(rows))]
    new = policy_pass(model, 1.0)(together)
    torch.testing.assert_close(new.tolist(), alone(apart, model), rtol=1e-5, atol=1e-5)
    order = torch.from_numpy(table.rl[together.source[together.policy]])
    (new * order * torch.arange(len(new))).sum().backward()
    shared = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    place = 0
    for batch in apart:
        one, _ = token_logprobs(model, hidden_states(model, batch), batch, batch.policy, 1.0)
        (one * torch.arange(place, place + len(one))).sum().backward()
        place += len(one)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        scale = float(parameter.grad.abs().max()) + 1e-6
        torch.testing.assert_close(shared[name] / scale, parameter.grad / scale, rtol=0, atol=2e-5)


def test_nothing_is_shared_where_nothing_is_alike() -> None:
    rows = [Trajectory("t", "k", member=i) for i in range(3)]
    for i, row in enumerate(rows):
        row.observe([i, 9])
        row.sample([4], [-1.0], [0])
    batch = pack(columns(rows), np.arange(3), CPU)
    assert batch.flat.tolist() == list(range(9))
    weighted = [replace(row, weights={"ce": [0.0, 1.0, 1.0]}) for row in rows]
    assert len(pack(columns(weighted), np.arange(3), CPU).tokens) == 9
