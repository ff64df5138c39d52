import asyncio
import math
import time
from pathlib import Path
from typing import Any

import pytest
from episodes import episode
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from espalier.core.errors import ConfigError, EnvError
from espalier.envs.api import Episode
from espalier.rewards.config import RewardsConfig
from espalier.rewards.rubric import Rubric, Scores


def rubric(*components: dict[str, Any], verdict: str | None = None) -> Rubric:
    return Rubric(TypeAdapter(RewardsConfig).validate_python(list(components)), verdict=verdict)


def score(judge: Rubric, what: Episode) -> Scores:
    return asyncio.run(judge.score(what))


def test_a_weighted_sum_with_the_first_as_verdict():
    judge = rubric(
        {"kind": "numeric"},
        {"kind": "format", "weight": 0.2, "once": ["####"]},
        {"kind": "repetition", "weight": -0.5, "n": 1},
    )
    scores = score(judge, episode("no no #### 3", "4"))
    assert scores.components == {"numeric": 0.0, "format": 0.2, "repetition": pytest.approx(-0.125)}
    assert scores.total == pytest.approx(0.075)
    assert scores.verdict == 0.0
    assert score(judge, episode("#### 4", "4")).verdict == 1.0


def test_another_verdict_and_the_same_kind_twice():
    parts = (
        {"kind": "regex", "pattern": "a", "name": "a"},
        {"kind": "regex", "pattern": "b", "name": "b", "weight": 2},
    )
    scores = score(rubric(*parts, verdict="b"), episode("b"))
    assert (scores.components, scores.total, scores.verdict) == ({"a": 0.0, "b": 2.0}, 2.0, 1.0)
    with pytest.raises(ConfigError, match=r"evaluation\.component: the rewards have no 'c'; there is a, b"):
        rubric(*parts, verdict="c")
    with pytest.raises(ValidationError, match="two rewards are called 'regex': give one of them another `name`"):
        rubric({"kind": "regex", "pattern": "a"}, {"kind": "regex", "pattern": "b"})


def test_components_for_some_task_sets_only():
    judge = rubric({"kind": "numeric", "tasks": ["gsm8k"]}, {"kind": "env", "tasks": ["sums", "other"]})
    assert score(judge, episode("#### 4", "4", env="gsm8k")).components == {"numeric": 1.0}
    scores = score(judge, episode("x", env_reward=0.5))
    assert (scores.components, scores.verdict) == ({"env": 0.5}, 0.5)
    with pytest.raises(EnvError, match="no reward applies to the task set 'third'"):
        score(judge, episode("x", env="third"))


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=6))
def test_the_total_is_the_sum_of_the_parts(parts: list[tuple[float, bool]]):
    components = [
        {"kind": "regex", "name": f"r{i}", "pattern": "a" if hit else "z", "weight": weight}
        for i, (weight, hit) in enumerate(parts)
    ]
    scores = score(rubric(*components), episode("a"))
    assert scores.total == pytest.approx(sum(weight for weight, hit in parts if hit))
    assert list(scores.components) == [f"r{i}" for i in range(len(parts))]


MODULE = """
async def slow(episode, factor=1): return factor * len(episode.response)
def broken(episode): raise KeyError("x")
def endless(episode): return float("inf")
def spinning(episode):
    while True: pass
def blocking(episode): __import__("time").sleep(0.1); return 1.0
def wordless(episode): return None
calls = []
def counting(episode): calls.append(1); return len(calls)
"""


def test_rewards_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_rewards.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    own = rubric({"kind": "plugin", "function": "my_rewards:slow", "options": {"factor": 3}, "weight": 0.5})
    assert score(own, episode("four")).total == 6.0
    with pytest.raises(EnvError, match="the reward 'plugin' raised KeyError: 'x'"):
        score(rubric({"kind": "plugin", "function": "my_rewards:broken"}), episode("x"))
    with pytest.raises(EnvError, match="the reward 'endless' gave inf for the task k1 of sums"):
        score(rubric({"kind": "plugin", "function": "my_rewards:endless", "name": "endless"}), episode("x"))
    with pytest.raises(ConfigError, match="my_rewards has no nothing"):
        rubric({"kind": "plugin", "function": "my_rewards:nothing"})
    with pytest.raises(
        ConfigError, match=r"my_rewards:slow\(episode, factor=1\) cannot take the options \{'facter': 3\}: .*'facter'"
    ):
        rubric({"kind": "plugin", "function": "my_rewards:slow", "options": {"facter": 3}})


def test_a_reward_of_ones_own_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "slow_rewards.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])

    def own(function: str, **settings: object) -> Rubric:
        return rubric({"kind": "plugin", "function": f"slow_rewards:{function}", **settings})

    async def many(judge: Rubric) -> tuple[list[float], float]:
        last, gap = time.monotonic(), 0.0
        work = asyncio.gather(*(judge.score(episode("x")) for _ in range(8)))
        while not work.done():
            await asyncio.sleep(0.005)
            now = time.monotonic()
            last, gap = now, max(gap, now - last)
        return [scores.total for scores in await work], gap

    totals, gap = asyncio.run(many(own("blocking", seconds=0.5)))
    assert totals == [1.0] * 8, "0.8 s in all, each with a deadline of 0.5 s"
    assert gap < 0.4
    with pytest.raises(EnvError, match=r"slow_rewards:spinning took longer than 0\.3 s"):
        score(own("spinning", seconds=0.3), episode("x"))
    with pytest.raises(EnvError, match="slow_rewards:wordless gave NoneType, not a number"):
        score(own("wordless"), episode("x"))
    with pytest.raises(EnvError, match=r"the reward 'plugin' raised KeyError: 'x' \(.*slow_rewards\.py:3\)"):
        score(own("broken"), episode("x"))
    assert asyncio.run(many(own("counting")))[0] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "one process, in order"


@pytest.mark.parametrize("weight", [math.inf, math.nan, "much"])
def test_weights_must_be_finite(weight: object):
    with pytest.raises(ValidationError):
        rubric({"kind": "env", "weight": weight})


def test_an_empty_rubric_is_refused():
    with pytest.raises(ValidationError):
        rubric()


GROUP_REWARDS = """
calls = []


def shortest(episodes, bonus=1.0):
    least = min(len(e.response) for e in episodes)
    return [bonus * (len(e.response) == least) for e in episodes]


async def too_few(episodes):
    return [1.0]


def no_list(episodes):
    return 3


class Counting:
    def __init__(self, start):
        self.seen = start

    def __call__(self, episode):
        self.seen += 1
        return self.seen
"""


@pytest.fixture
def group_rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"group_rewards_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(GROUP_REWARDS)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_reward_of_a_whole_group(group_rewards: str) -> None:
    judge = rubric(
        {"kind": "exact"},
        {
            "kind": "plugin",
            "name": "short",
            "function": f"{group_rewards}:shortest",
            "scope": "group",
            "options": {"bonus": 4.0},
            "weight": 0.5,
        },
    )
    episodes = [episode("4", "4"), episode("four", "4"), episode("5", "4")]

    async def main() -> list[Scores]:
        judged = await asyncio.gather(*map(judge.judge, episodes))
        compared = await judge.compare(episodes)
        assert compared == [{"short": 4.0}, {"short": 0.0}, {"short": 4.0}]
        return [judge.scores(one | other) for one, other in zip(judged, compared, strict=True)]

    scores = asyncio.run(main())
    assert [s.components["exact"] for s in scores] == [1.0, 0.0, 0.0]
    assert [s.components["short"] for s in scores] == [2.0, 0.0, 2.0]
    assert [(s.total, s.verdict) for s in scores] == [(3.0, 1.0), (0.0, 0.0), (2.0, 0.0)]


@pytest.mark.parametrize(
    ("function", "message"),
    [("too_few", "'g' gave 1 numbers for 2 episodes"), ("no_list", "no_list gave int, not a list of numbers")],
)
def test_a_group_needs_a_number_for_each_episode(group_rewards: str, function: str, message: str) -> None:
    where = f"{group_rewards}:{function}"
    judge = rubric({"kind": "plugin", "name": "g", "function": where, "scope": "group"})
    with pytest.raises(EnvError, match=message):
        asyncio.run(judge.compare([episode("a"), episode("b")]))


def test_a_class_keeps_what_it_likes(group_rewards: str) -> None:
    judge = rubric({"kind": "plugin", "function": f"{group_rewards}:Counting", "options": {"start": 10}})

    async def main() -> list[float]:
        return [(await judge.score(episode("x"))).total for _ in range(3)]

    assert asyncio.run(main()) == [11.0, 12.0, 13.0]
