"""Properties of pairwise losses: P10, P11 of the algorithms page."""

from __future__ import annotations

import math

import pytest
import torch

from espalier.rl.algorithms.preference import bradley_terry, dpo, ipo, margin, pointwise, score_penalty, without_length

F64 = torch.float64
A, B, C, D = torch.randn(4, 20, generator=torch.Generator().manual_seed(0), dtype=F64)


def test_p10_dpo_at_the_reference_is_log_two() -> None:
    assert dpo(margin(A, B, A, B), 0.3).tolist() == pytest.approx([math.log(2)] * 20)


def test_p10_dpo_ignores_what_both_responses_share_and_swapping_negates() -> None:
    u = margin(A, B, C, D)
    torch.testing.assert_close(dpo(margin(A + 3.0, B + 3.0, C, D), 0.3), dpo(u, 0.3))
    torch.testing.assert_close(margin(B, A, D, C), -u)
    torch.testing.assert_close(dpo(-u, 0.3), -torch.log(1 - torch.exp(-dpo(u, 0.3))))


def test_cdpo_is_the_expectation_over_flipped_labels() -> None:
    u = margin(A, B, C, D)
    torch.testing.assert_close(dpo(u, 0.3, flip=0.1), 0.9 * dpo(u, 0.3) + 0.1 * dpo(-u, 0.3))


def test_cdpo_is_smallest_at_the_log_odds_of_the_label() -> None:
    u = torch.tensor(math.log(0.9 / 0.1) / 0.3, dtype=F64, requires_grad=True)
    dpo(u, 0.3, flip=0.1).backward()
    assert u.grad is not None
    assert u.grad.item() == pytest.approx(0.0, abs=1e-12)


def test_ipo_by_hand() -> None:
    assert ipo(torch.tensor([0.0, 2.5, 3.0]), tau=0.2).tolist() == pytest.approx([6.25, 0.0, 0.25])


def test_p11_bradley_terry_is_blind_to_a_shift_that_the_penalty_sees() -> None:
    torch.testing.assert_close(bradley_terry(A + 5.0, B + 5.0), bradley_terry(A, B))
    assert not torch.allclose(score_penalty(A + 5.0, B + 5.0), score_penalty(A, B))
    assert bradley_terry(torch.tensor(0.0), torch.tensor(0.0)).item() == pytest.approx(math.log(2))


def test_p11_at_a_fixed_gap_the_penalty_wants_symmetry() -> None:
    shift = torch.linspace(-3, 3, 601, dtype=F64)
    penalty = score_penalty(shift + 0.7, shift - 0.7)
    assert shift[penalty.argmin()].item() == pytest.approx(0.0, abs=1e-9)


def test_pointwise_by_hand() -> None:
    expected = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))]
    assert pointwise(torch.tensor([2.0, 2.0]), torch.tensor([True, False])).tolist() == pytest.approx(expected)


def test_length_is_taken_out_of_linear_scores() -> None:
    length = torch.tensor([3, 10, 5, 40])
    quality = torch.tensor([1.0, 2.0, 3.0, 4.0])
    corrected = without_length(quality + 0.1 * length, length, 0.1)
    torch.testing.assert_close(corrected - corrected[0], quality - quality[0])
