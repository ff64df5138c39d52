"""Properties of credit: P1 to P5, P16 of the algorithms page; advantages, GAE and the rules of `credit.advantages`."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import rl_oracle as oracle
from hypothesis import given
from hypothesis import strategies as st
from rl_batches import random_groups, trajectory

from espalier.core.errors import ConfigError
from espalier.rl.algorithms.advantages import LonelyRowError, group_mean, group_std, leave_one_out, whiten
from espalier.rl.algorithms.credit import CreditError, advantages
from espalier.rl.algorithms.gae import gae
from espalier.rl.algorithms.table import ALGORITHMS, algorithm
from espalier.rl.trajectory import Trajectory

ESTIMATORS = {"group_mean": group_mean, "group_std": group_std, "leave_one_out": leave_one_out}
GROUPED = [name for name, row in ALGORITHMS.items() if row.needs_group]
rewards = st.integers(-1600, 1600).map(lambda i: i / 16)


@st.composite
def ragged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Rewards and group ids of groups of 2 to 6 rows, shuffled together; ids are arbitrary and not dense."""
    groups = draw(st.lists(st.lists(rewards, min_size=2, max_size=6), min_size=1, max_size=5))
    names = draw(st.lists(st.integers(-1000, 1000), min_size=len(groups), max_size=len(groups), unique=True))
    pairs = [(r, name) for group, name in zip(groups, names, strict=True) for r in group]
    pairs = draw(st.permutations(pairs))
    return np.array([r for r, _ in pairs]), np.array([g for _, g in pairs], np.int64)


@pytest.mark.parametrize("kind", ESTIMATORS)
@given(data=ragged())
def test_ragged_shuffled_groups_equal_the_oracle(kind: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    reward, group = data
    expected = oracle.group_advantages(reward.tolist(), group.tolist(), kind)
    np.testing.assert_allclose(ESTIMATORS[kind](reward, group), expected, atol=1e-10, rtol=1e-7)


@given(data=ragged())
def test_p01_rloo_is_scaled_mean_centring_and_sums_to_zero(data: tuple[np.ndarray, np.ndarray]) -> None:
    reward, group = data
    size = np.array([np.sum(group == g) for g in group])
    result = leave_one_out(reward, group)
    np.testing.assert_allclose(result, size / (size - 1) * group_mean(reward, group), atol=1e-9)
    for g in np.unique(group):
        assert result[group == g].sum() == pytest.approx(0.0, abs=1e-9)


def test_p02_a_baseline_that_includes_the_sample_shrinks_the_gradient() -> None:
    probs, reward = np.array([0.1, 0.3, 0.2, 0.25, 0.15]), np.array([1.0, -0.5, 2.0, 0.3, 0.0])
    score = np.eye(5) - probs  # d log pi(a) / d logits
    true = sum(p * r * s for p, r, s in zip(probs, reward, score, strict=True))
    expected = {"group_mean": np.zeros(5), "leave_one_out": np.zeros(5)}
    for actions in itertools.product(range(5), repeat=3):
        chosen = list(actions)
        for kind in expected:
            credit = ESTIMATORS[kind](reward[chosen], np.zeros(3, np.int64))
            expected[kind] += probs[chosen].prod() * (credit[:, None] * score[chosen]).mean(0)
    np.testing.assert_allclose(expected["group_mean"], 2 / 3 * true, atol=1e-14)
    np.testing.assert_allclose(expected["leave_one_out"], true, atol=1e-14)


@pytest.mark.parametrize(("size", "right"), [(8, 2), (4, 3), (16, 1)])
def test_p03_binary_rewards_under_grpo(size: int, right: int) -> None:
    reward = np.array([1.0] * right + [0.0] * (size - right))
    p, shrink = right / size, math.sqrt((size - 1) / size)
    result = group_std(reward, np.zeros(size, np.int64))
    assert result[0] == pytest.approx(shrink * math.sqrt((1 - p) / p), rel=1e-5)
    assert result[-1] == pytest.approx(-shrink * math.sqrt(p / (1 - p)), rel=1e-5)


@pytest.mark.parametrize(("p", "expected"), [(0.05, 0.337), (0.3, 0.942), (0.5, 0.992), (0.9, 0.570)])
def test_p04_share_of_groups_that_inform(p: float, expected: float) -> None:
    share = 0.0
    for outcome in itertools.product((0.0, 1.0), repeat=8):
        if np.any(group_std(np.array(outcome), np.zeros(8, np.int64))):
            share += math.prod(p if won else 1 - p for won in outcome)
    assert share == pytest.approx(expected, abs=5e-4)
    assert share == pytest.approx(1 - p**8 - (1 - p) ** 8)


def test_p05_gae_ends_of_lambda_and_observations_skipped() -> None:
    reward, value, one_row = np.array([0.1, 0.0, 1.0]), np.array([0.3, 0.5, -0.2]), np.array([0, 3])
    carlo, _ = gae(reward, value, one_row, 0.9, 1.0)
    returns = np.array([0.1 + 0.81 * 1.0, 0.9, 1.0])
    np.testing.assert_allclose(carlo, returns - value)
    errors, _ = gae(reward, value, one_row, 0.9, 0.0)
    np.testing.assert_allclose(errors, [0.1 + 0.9 * 0.5 - 0.3, 0.9 * -0.2 - 0.5, 1.0 + 0.2])

    row = algorithm("ppo", whiten="none", gamma=0.9, lam=0.8)
    plain = advantages(row, [[trajectory(1.0, [False, True, True, True])]], [[9.0, 0.3, 0.5, -0.2]])
    mask = [False, True, False, False, True, False, True, False]
    broken = advantages(row, [[trajectory(1.0, mask)]], [[9.0, 0.3, 7.0, -7.0, 0.5, 4.0, -0.2, 8.0]])
    assert [a for a, m in zip(broken.advantages[0], mask, strict=True) if m] == pytest.approx(plain.advantages[0][1:])
    assert broken.advantages[0][2] == broken.advantages[0][7] == 0.0
    assert broken.returns is not None
    assert broken.returns[0][6] == pytest.approx(1.0)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_p16_permutations_permute_and_other_prompts_do_not_matter(name: str) -> None:
    rng = np.random.default_rng(4)
    row = algorithm(name)
    for _ in range(10):
        groups = random_groups(rng)
        values = {id(t): rng.normal(size=len(t.tokens)).tolist() for group in groups for t in group}

        def credit(of: list, known: dict[int, list[float]] = values) -> dict[int, list[float]]:
            rows = [t for group in of for t in group]
            result = advantages(row, of, [known[id(t)] for t in rows] if row.needs_values else None)
            return {id(t): a for t, a in zip(rows, result.advantages, strict=True)}

        before = credit(groups)
        shuffled = [[group[i] for i in rng.permutation(len(group))] for group in groups]
        after = credit([shuffled[i] for i in rng.permutation(len(groups))])
        for key, expected in before.items():
            np.testing.assert_allclose(after[key], expected, atol=1e-12)
        if row.whiten == "none":  # whitening over the batch is the one thing prompts share
            alone = credit(groups[:1])
            for key, value in alone.items():
                np.testing.assert_allclose(value, before[key], atol=1e-12)


def test_hand_computed_estimators() -> None:
    reward, group = np.array([1.0, 5.0, 0.0, 3.0, 5.0]), np.array([7, 2, 7, 7, 2])
    np.testing.assert_allclose(group_mean(reward, group), [-1 / 3, 0, -4 / 3, 5 / 3, 0])
    np.testing.assert_allclose(leave_one_out(reward, group), [-0.5, 0, -2.0, 2.5, 0])
    std = math.sqrt(7 / 3)
    np.testing.assert_allclose(group_std(reward, group)[[0, 2, 3]], np.array([-1, -4, 5]) / 3 / (std + 1e-6))


@pytest.mark.parametrize("value", [0.1, 1 / 49, -3.3e7, 0.0])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_equal_rewards_give_exactly_zero(kind: str, value: float) -> None:
    for size in (2, 3, 49):
        assert not ESTIMATORS[kind](np.full(size, value), np.zeros(size, np.int64)).any()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_equal_rewards_teach_nothing_and_are_never_nan(name: str) -> None:
    row = algorithm(name)
    groups = [[trajectory(0.1, [False, True, True]) for _ in range(3)] for _ in range(2)]
    values = [[0.0, 0.0, 0.0]] * 6 if row.needs_values else None
    result = np.array(advantages(row, groups, values).advantages)
    expected = 0.1 if row.whiten == "none" and row.advantage == "reward" else 0.0
    np.testing.assert_array_equal(result[:, 1:], expected)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_group_of_one_is_refused_where_a_baseline_is_needed(name: str) -> None:
    row = algorithm(name)
    groups = [[trajectory(1.0), trajectory(0.0)], [trajectory(1.0)]]
    values = [[0.0, 0.0]] * 3 if row.needs_values else None
    if row.needs_group:
        with pytest.raises(LonelyRowError, match="one row"):
            advantages(row, groups)
    else:
        assert np.isfinite(advantages(row, groups, values).advantages).all()


def test_groups_are_not_shapes() -> None:
    groups = [[trajectory(1.0), trajectory(0.0)], [trajectory(1.0), trajectory(1.0), trajectory(4.0)]]
    credit = advantages(algorithm("dr_grpo"), groups)
    assert [a[1] for a in credit.advantages] == pytest.approx([0.5, -0.5, -1.0, -1.0, 2.0])


def test_a_row_that_is_not_trained_still_feeds_the_baseline() -> None:
    credit = advantages(algorithm("dr_grpo"), [[trajectory(1.0), trajectory(0.0, [False, False])]])
    assert credit.advantages == [[0.0, 0.5], [0.0, 0.0]]


def test_rows_with_advantages_keep_them_and_count_nowhere() -> None:
    given_row = trajectory(None)
    given_row.advantages = [0.0, 3.0]
    credit = advantages(algorithm("rloo"), [[trajectory(1.0), given_row, trajectory(0.0)]])
    assert credit.advantages == [[0.0, 1.0], [0.0, 3.0], [0.0, -1.0]]
    assert advantages(algorithm("rloo"), [[given_row]]).advantages == [[0.0, 3.0]]
    assert advantages(algorithm("rloo"), []).advantages == []


def test_kl_in_the_reward_follows_the_token_or_the_row() -> None:
    gaps, mask = [[9.0, 0.5, 9.0, 1.0], [9.0, 0.0, 9.0, 0.0]], [False, True, False, True]
    group = [trajectory(1.0, mask), trajectory(0.0, mask)]
    per_token = algorithm("reinforce", kl_coef=0.1, kl_as="reward", kl_estimator="k1")
    assert advantages(per_token, [group], kl=gaps).advantages[0] == pytest.approx([0, 0.85, 0, 0.9])
    per_row = algorithm("dr_grpo", kl_coef=0.1, kl_as="reward", kl_estimator="k1")
    assert advantages(per_row, [group], kl=gaps).advantages[0] == pytest.approx([0, 0.425, 0, 0.425])


def test_a_centred_kl_pays_and_charges_equally() -> None:
    """Sums of 1.5 and 0 have the mean 0.75: the first row is charged 0.1 * 0.75, half at each token."""
    gaps, mask = [[9.0, 0.5, 9.0, 1.0], [9.0, 0.0, 9.0, 0.0]], [False, True, False, True]
    group = [trajectory(1.0, mask), trajectory(0.0, mask)]
    centred = algorithm("reinforce", kl_coef=0.1, kl_as="reward", kl_estimator="k1", kl_center=True)
    found = advantages(centred, [group], kl=gaps).advantages
    assert found[0] == pytest.approx([0, 0.85 + 0.075, 0, 0.9 + 0.0375])
    assert found[1] == pytest.approx([0, 0.075, 0, 0.0375])
    with pytest.raises(ConfigError, match="set kl_as=reward"):
        algorithm("rloo", kl_coef=0.1, kl_center=True)


@given(
    st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4), st.floats(-3.0, 3.0), st.sampled_from(["reinforce", "rloo"])
)
def test_a_constant_in_the_kl_of_every_row_changes_nothing_once_it_is_centred(
    gaps: list[float], constant: float, name: str
) -> None:
    lengths = [1, 2, 3, 2]
    group = [trajectory(float(i % 2), [False] + [True] * n) for i, n in enumerate(lengths)]
    centred = algorithm(name, kl_coef=0.3, kl_as="reward", kl_estimator="k1", kl_center=True)
    plain, shifted = (
        [[0.0] + [gap + shift / n] * n for gap, n in zip(gaps, lengths, strict=True)] for shift in (0.0, constant)
    )
    before, after = (advantages(centred, [group], kl=kl).advantages for kl in (plain, shifted))
    assert [x for row in after for x in row] == pytest.approx([x for row in before for x in row], abs=1e-9)


def test_a_kl_cannot_count_twice() -> None:
    group = [[trajectory(1.0), trajectory(0.0)]]
    with pytest.raises(ConfigError, match="twice"):
        advantages(algorithm("grpo", kl_coef=0.1), group, kl=[[0.0, 0.0]] * 2)
    with pytest.raises(ConfigError, match="reference"):
        advantages(algorithm("grpo", kl_coef=0.1, kl_as="reward"), group)


def test_missing_inputs_are_named() -> None:
    with pytest.raises(ConfigError, match="critic"):
        advantages(algorithm("ppo"), [[trajectory(1.0)]])
    with pytest.raises(ConfigError, match="critic"):
        advantages(algorithm("reinforce"), [[trajectory(1.0)]], [[0.0, 0.0]])
    with pytest.raises(CreditError, match="no reward"):
        advantages(algorithm("reinforce"), [[trajectory(None)]])


def test_task_whitening_ignores_the_scale_of_a_task() -> None:
    def credit(scale: float) -> np.ndarray:
        groups = [
            [trajectory(r * scale, task="a") for r in (0.0, 1.0, 4.0)],
            [trajectory(r, task="b") for r in (0.0, 1.0)],
        ]
        return np.array(advantages(algorithm("dr_grpo", whiten="task"), groups).advantages)[:, 1]

    one = credit(1.0)
    np.testing.assert_allclose(credit(100.0), one)
    for part in (one[:3], one[3:]):
        assert (part.mean(), part.std()) == pytest.approx((0.0, 1.0))


@given(st.lists(st.tuples(rewards, st.integers(0, 3)), min_size=1, max_size=30))
def test_whitening_is_exact_idempotent_and_never_nan(pairs: list[tuple[float, int]]) -> None:
    values, part = np.array([v for v, _ in pairs]), np.array([p for _, p in pairs])
    once = whiten(values, part)
    for p in np.unique(part):
        own = values[part == p]
        if np.ptp(own) > 1e-6 * np.abs(own).max():
            assert (once[part == p].mean(), once[part == p].std()) == pytest.approx((0.0, 1.0), abs=1e-6)
        elif np.ptp(own) == 0.0:
            assert not once[part == p].any()
    np.testing.assert_allclose(whiten(once, part), once, atol=1e-6)


def paid_by_turn(turns: list[tuple[int, int, float | None]], reward: float) -> Trajectory:
    """A row of turns: tokens of context, tokens sampled, and what the turn earned."""
    row = Trajectory("t", "k", reward=reward)
    for context, sampled, paid in turns:
        row.observe([1] * context)
        row.sample([2] * sampled, [-1.0] * sampled, [0] * sampled)
        row.turns[-1].reward = paid
    return row


def test_rewards_of_turns_are_credited_where_they_fall() -> None:
    row = paid_by_turn([(2, 2, 1.0), (1, 1, None), (1, 2, -3.0)], reward=2.0)  # 4.0 more from other components
    plain = advantages(algorithm("reinforce"), [[row]]).advantages[0]
    assert plain == [0, 0, 2, 2, 0, 2, 0, 2, 2]
    by_turn = algorithm("reinforce", turn_rewards=True)
    assert advantages(by_turn, [[row]]).advantages[0] == [0, 0, 2, 2, 0, 1, 0, 1, 1]
    halved = algorithm("reinforce", turn_rewards=True, gamma=0.5)
    assert advantages(halved, [[row]]).advantages[0] == [0, 0, 0.5625, 1.125, 0, 0.25, 0, 0.5, 1]
    zeros = [[0.0] * 9]
    ppo = algorithm("ppo", turn_rewards=True, whiten="none", kl_coef=0.0)
    assert advantages(ppo, [[row]], zeros).advantages[0] == [0, 0, 2, 2, 0, 1, 0, 1, 1]


def test_a_fork_is_not_paid_for_turns_before_it() -> None:
    parent = paid_by_turn([(2, 2, 1.0), (1, 2, 0.5)], reward=1.5)
    child = parent.fork(5, 1)
    child.sample([2], [-1.0], [0])
    child.reward = 1.0
    by_turn = algorithm("reinforce", turn_rewards=True)
    assert advantages(by_turn, [[parent, child]]).advantages == [[0, 0, 1.5, 1.5, 0, 0.5, 0.5], [0] * 6]


def test_groups_have_no_turns() -> None:
    with pytest.raises(ConfigError, match="turn_rewards: advantage=group_std compares whole rows"):
        algorithm("grpo", turn_rewards=True)
