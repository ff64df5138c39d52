"""Functions of the user's own: they equal the built-in ones where they say the same, and faults are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rl_batches import random_groups
from torch import Tensor

from espalier.core.errors import ConfigError
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.credit import advantages
from espalier.rl.algorithms.objective import Denominators, TokenBatch, policy_objective
from espalier.rl.algorithms.plugin import AlgorithmError
from espalier.rl.algorithms.table import algorithm

SOURCE = """
import numpy as np
import torch


def centred(rewards, group):
    return [r - rewards[group == g].mean() for r, g in zip(rewards, group)]


def by_place(rewards, lengths, scale=1.0):
    return [scale * r * np.arange(n) for r, n in zip(rewards, lengths)]


def of_rows(rows):
    return [row.reward for row in rows]


def clipped(new, old, advantage, *, width=0.2):
    ratio = (new - old).exp()
    return torch.maximum(-advantage * ratio, -advantage * ratio.clamp(1 - width, 1 + width))


def truncated(prox, behave, cap):
    return (prox - behave).exp().clamp(max=cap)


def raises(new):
    return 1 / 0


def too_short(new):
    return new[1:]


def constant(new):
    return torch.zeros_like(new).detach()


def too_few(rewards):
    return rewards[1:]
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(SOURCE)
    return str(tmp_path / "own.py")


def plugged(row: str, source: str, options: dict[str, Any] | None = None, **functions: str) -> Algorithm:
    named = {part: f"{source}:{name}" for part, name in functions.items()}
    return algorithm(row, plugin={**named, "options": options or {}})


def batch(seed: int = 0) -> TokenBatch:
    random = torch.Generator().manual_seed(seed)

    def numbers(scale: float) -> Tensor:
        return torch.randn(20, generator=random) * scale

    new = (numbers(0.5) - 2).requires_grad_()
    weight = (torch.rand(20, generator=random) > 0.2).float()
    return TokenBatch(new, new.detach() + numbers(0.4), numbers(1), weight, torch.arange(20) // 5, new.detach() + 0.1)


def loss_and_gradient(chosen: Algorithm) -> tuple[float, list[float]]:
    tokens = batch()
    counts = Denominators(float((tokens.weight != 0).sum()), 4.0, 10.0)
    loss, _ = policy_objective(chosen, tokens, counts)
    loss.backward()
    assert tokens.new.grad is not None
    return float(loss.detach()), tokens.new.grad.tolist()


def test_an_advantage_equals_the_built_in_one(source: str) -> None:
    groups = random_groups(np.random.default_rng(3))
    own = advantages(plugged("grpo", source, advantage="centred"), groups).advantages
    for mine, built in zip(own, advantages(algorithm("dr_grpo"), groups).advantages, strict=True):
        assert mine == pytest.approx(built)


def test_an_advantage_of_each_token_and_of_rows(source: str) -> None:
    groups = random_groups(np.random.default_rng(4))
    rows = [row for group in groups for row in group]
    own = advantages(plugged("reinforce", source, {"scale": 2.0}, advantage="by_place"), groups).advantages
    for row, found in zip(rows, own, strict=True):
        sampled = [value for value, mask in zip(found, row.mask, strict=True) if mask]
        assert sampled == pytest.approx([2.0 * (row.reward or 0.0) * i for i in range(len(sampled))])
    whole = advantages(plugged("reinforce", source, advantage="of_rows"), groups).advantages
    assert whole == advantages(algorithm("reinforce"), groups).advantages


@pytest.mark.parametrize("width", [0.2, 0.05])
def test_a_loss_equals_the_built_in_one(source: str, width: float) -> None:
    own = plugged("grpo", source, {"width": width}, loss="clipped")
    assert loss_and_gradient(own) == loss_and_gradient(algorithm("grpo", clip_low=width, clip_high=width))


def test_a_correction_equals_the_built_in_one(source: str) -> None:
    own = plugged("grpo", source, {"cap": 1.1}, correction="truncated")
    assert own.needs_prox
    assert loss_and_gradient(own) == loss_and_gradient(algorithm("grpo", correction="tis", correction_high=1.1))


def test_what_a_function_asks_for_is_known_without_running_it(source: str) -> None:
    Path(source).write_text(SOURCE + "\nraise RuntimeError('imported')\n")
    assert plugged("grpo", source, advantage="centred").needs_group
    assert not plugged("grpo", source, advantage="by_place").needs_group
    assert not plugged("ppo", source, advantage="by_place").needs_values
    assert plugged("grpo", source, loss="clipped").title == f"grpo (loss={source}:clipped)"


@pytest.mark.parametrize(
    ("functions", "options", "message"),
    [
        ({"loss": "cliped"}, {}, r"own\.py has no function 'cliped'; did you mean 'clipped'"),
        ({"loss": "clipped"}, {"widht": 1}, "no function has an option 'widht'; did you mean 'width'"),
        ({"correction": "truncated"}, {}, r"needs 'cap', which is not an input \(new, behave, .*options"),
    ],
)
def test_faults_of_a_recipe_are_named(
    source: str, functions: dict[str, str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        plugged("grpo", source, options, **functions)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"loss": "raises"}, r"raised ZeroDivisionError: division by zero \(.*own\.py:28\)"),
        ({"loss": "too_short"}, r"must give a tensor of 20 numbers, one for each token, not \[19\]"),
        ({"loss": "constant"}, "a loss without a gradient: it must depend on `new`"),
    ],
)
def test_faults_of_a_function_are_named(source: str, functions: dict[str, str], message: str) -> None:
    with pytest.raises(AlgorithmError, match=message):
        loss_and_gradient(plugged("grpo", source, **functions))


def test_an_advantage_of_too_few_rows_is_named(source: str) -> None:
    with pytest.raises(AlgorithmError, match=r"must give a number for each of \d+ rows"):
        advantages(plugged("reinforce", source, advantage="too_few"), random_groups(np.random.default_rng(1)))
