from hypothesis import given
from hypothesis import strategies as st

from espalier.envs.api import Episode, Task
from espalier.rl.loop.stale import mask_old, oldest, without_old
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory

TASK = Task("env", "key", {})


def row(*versions: int, member: int = 0) -> Trajectory:
    """A prompt token, then one token of each version; -1 is a token of the environment."""
    made = Trajectory("env", "key", member=member, reward=1.0)
    made.observe([7])
    for version in versions:
        made.observe([8]) if version < 0 else made.sample([9], [-0.5], [version])
    return made


def group(*rows: Trajectory, least: int = 2) -> ScoredGroup:
    return ScoredGroup(3, TASK, list(rows), [Episode(TASK, []) for _ in rows], least=least)


def test_old_tokens_leave_the_policys_losses_and_stay_as_context():
    one = row(2, 3, -1, 4, 5)
    assert mask_old([one], version=5, max_lag=1) == 2
    assert one.weights == {"rl": [0, 0, 0, 0, 1, 1], "ref": [0, 0, 0, 0, 1, 1]}
    assert one.mask == [False, True, True, False, True, True], "credit still counts them"
    assert len(one.tokens) == 6


def test_weights_that_are_there_are_kept_where_the_token_is_fresh():
    one = row(2, 5)
    one.weights = {"rl": [0.0, 0.5, 0.25], "ce": [0.0, 1.0, 1.0]}
    assert mask_old([one], version=5, max_lag=2) == 1
    assert one.weights == {"rl": [0, 0, 0.25], "ce": [0, 1, 1], "ref": [0, 0, 1]}


def test_a_token_without_weight_is_not_counted_as_masked():
    one = row(2, 5)
    one.weights = {"rl": [0.0, 0.0, 1.0]}
    assert mask_old([one], version=5, max_lag=2) == 0


def test_fresh_rows_are_not_touched():
    one = row(4, 5)
    assert mask_old([one], version=5, max_lag=1) == 0
    assert one.weights is None


def test_rows_with_an_old_token_are_dropped_and_a_group_that_becomes_too_small_is_too():
    fresh, old = row(4, 5), row(3, 5, member=1)
    assert without_old(group(fresh, row(5, member=2)), 5, 1) is not None
    kept = without_old(group(fresh, old, row(5, member=2)), 5, 1)
    assert kept is not None
    assert [r.member for r in kept.rows] == [0, 2]
    assert len(kept.episodes) == 2
    assert without_old(group(fresh, old), 5, 1) is None


def test_a_pair_is_kept_or_dropped_as_a_whole():
    pair = group(row(5), row(1, member=1), least=1)
    pair.kind = "pair"
    assert without_old(pair, 5, 1) is None


def test_the_oldest_version_of_a_group():
    assert oldest(group(row(4, 2), row(3)), default=9) == 2
    assert oldest(group(row(), row(-1)), default=9) == 9


@given(st.lists(st.integers(-1, 9), max_size=12), st.integers(0, 9), st.integers(0, 9))
def test_every_weight_left_is_within_the_limit(versions: list[int], version: int, max_lag: int):
    one = row(*(min(v, version) for v in versions))
    masked = mask_old([one], version, max_lag)
    weights = one.weights["rl"] if one.weights else [float(m) for m in one.mask]
    kept = [version - v for v, weight in zip(one.versions, weights, strict=True) if weight]
    assert all(0 <= lag <= max_lag for lag in kept)
    assert len(kept) + masked == sum(one.mask)
