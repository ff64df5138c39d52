"""The Gaussian process: against the formulas in double precision, its gradient against differences, its certainty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.robots.terrain.gp.kernels import covariance, slope
from espalier.robots.terrain.gp.subset import SubsetGp

KERNELS = ["rational_quadratic", "rbf", "matern32", "matern52"]


@pytest.mark.parametrize("name", KERNELS)
def test_covariances_by_hand_and_their_slopes(name: str) -> None:
    r2 = np.array([0.0, 1.0, 4.0])
    right = {
        "rational_quadratic": (1 + r2 / 20) ** -10.0,
        "rbf": np.exp(-r2 / 2),
        "matern32": (1 + np.sqrt(3 * r2)) * np.exp(-np.sqrt(3 * r2)),
        "matern52": (1 + np.sqrt(5 * r2) + 5 * r2 / 3) * np.exp(-np.sqrt(5 * r2)),
    }[name]
    assert covariance(name, r2) == pytest.approx(right)
    at, h = np.array([0.3, 1.0, 4.0]), 1e-6
    numeric = (covariance(name, at + h) - covariance(name, at - h)) / (2 * h)
    assert slope(name, at, covariance(name, at)) == pytest.approx(numeric, rel=1e-5)


def test_a_large_alpha_is_the_rbf() -> None:
    r2 = np.linspace(0, 9, 10)
    assert covariance("rational_quadratic", r2, 1e7) == pytest.approx(covariance("rbf", r2), abs=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_it_is_the_textbook_s(name: str) -> None:
    rng = np.random.default_rng(0)
    inputs, lengths = rng.uniform(-3, 3, (80, 4)), np.array([1.0, 1.5, 2.0, 0.7])
    targets, noise = np.sin(inputs[:, 0]) + 100.0, rng.uniform(0.02, 0.1, 80)
    where = rng.uniform(-3, 3, (50, 4))
    found = SubsetGp(inputs, targets, noise, lengths=lengths, kernel=name, std=0.8).predict(where)

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 0.64 * covariance(name, (((a[:, None] - b[None]) / lengths) ** 2).sum(-1))

    inverse = np.linalg.inv(k(inputs, inputs) + np.diag(noise**2))
    centre = np.median(targets)
    assert found.mean == pytest.approx(centre + k(where, inputs) @ inverse @ (targets - centre), abs=1e-4)
    explained = np.einsum("ij,jk,ik->i", k(where, inputs), inverse, k(where, inputs))
    assert found.variance == pytest.approx(0.64 - explained, abs=2e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_the_gradient_is_that_of_the_mean(name: str) -> None:
    rng = np.random.default_rng(1)
    inputs = rng.uniform(-2, 2, (60, 2))
    targets = inputs[:, 0] ** 2 - inputs[:, 1]
    process = SubsetGp(inputs, targets, np.full(60, 0.05), lengths=np.ones(2), kernel=name)
    where, h = rng.uniform(-1.5, 1.5, (20, 2)), 0.01
    found = process.gradient(where)
    for axis in range(2):
        step = h * np.eye(2)[axis]
        numeric = (process.predict(where + step).mean - process.predict(where - step).mean) / (2 * h)
        assert found[:, axis] == pytest.approx(numeric, abs=0.02)


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
@settings(max_examples=20, deadline=None)
def test_single_precision_survives_large_coordinates(x: float, y: float) -> None:
    rng = np.random.default_rng(2)
    inputs, targets = rng.uniform(-2, 2, (40, 2)), rng.normal(size=40)
    make = lambda shift: SubsetGp(inputs + shift, targets, np.full(40, 0.1), lengths=np.ones(2))  # noqa: E731
    here, there = make(0.0).predict(inputs[:10]), make([x, y]).predict(inputs[:10] + np.array([x, y]))
    assert there.mean == pytest.approx(here.mean, abs=1e-3)


def test_far_away_nothing_is_known_and_at_an_exact_point_all() -> None:
    process = SubsetGp(np.zeros((1, 2)), np.array([5.0]), np.array([1e-3]), lengths=np.ones(2), kernel="rbf", std=0.5)
    found = process.predict(np.array([[0.0, 0.0], [50.0, 0.0]]))
    assert found.mean == pytest.approx([5.0, 5.0])
    assert found.variance == pytest.approx([0.0, 0.25], abs=1e-5)
    assert process.gradient(np.array([[0.0, 0.0], [50.0, 0.0]])) == pytest.approx(np.zeros((2, 2)))
