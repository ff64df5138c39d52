import asyncio
import itertools
from typing import Any

import pytest
from episodes import episode
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from espalier.envs.api import Episode
from espalier.rewards.answer import AnswerConfig
from espalier.rewards.config import RewardsConfig
from espalier.rewards.environment import EnvRewardConfig
from espalier.rewards.exact import ExactConfig
from espalier.rewards.form import FormatConfig
from espalier.rewards.length import LengthConfig
from espalier.rewards.mathematics.maths import MathsConfig
from espalier.rewards.mathematics.numeric import NumericConfig
from espalier.rewards.overlap import F1Config
from espalier.rewards.pattern import RegexConfig
from espalier.rewards.plugin import PluginRewardConfig
from espalier.rewards.repetition import RepetitionConfig
from espalier.rewards.rubric import Rubric, Scores

NUMERIC = {"kind": "numeric"}
SHORT = {"kind": "regex", "name": "short", "pattern": "(?s).{0,20}", "whole": True, "weight": 0.25}
TIDY = {"kind": "regex", "name": "tidy", "pattern": "####", "weight": 0.0, "veto": 0}
PENALTIES = {"kind": "penalties"}
BEFORE = [
    *(AnswerConfig(), EnvRewardConfig(), ExactConfig(), F1Config(), FormatConfig(), LengthConfig(limit=2, buffer=1)),
    *(
        MathsConfig(),
        NumericConfig(),
        PluginRewardConfig(function="a.b:c"),
        RegexConfig(pattern=""),
        RepetitionConfig(),
    ),
]
"""Rewards that had results before there were vetoes."""


def score(judged: Episode, *components: dict[str, Any], **settings: Any) -> Scores:
    rubric = Rubric(TypeAdapter(RewardsConfig).validate_python(list(components)), **settings)
    return asyncio.run(rubric.score(judged))


def test_a_penalty_is_the_whole_reward_and_does_not_change_the_verdict():
    clean = score(episode("#### 4", "4"), NUMERIC, SHORT, PENALTIES)
    assert clean.components == {"numeric": 1.0, "short": 0.25, "penalties": 0.0}
    assert (clean.total, clean.verdict) == (1.25, 1.0)
    looped = score(episode("no " * 20 + "#### 4", "4"), NUMERIC, SHORT, PENALTIES)
    assert looped.components == {"numeric": 0.0, "short": 0.0, "penalties": -1.0}
    assert (looped.total, looped.verdict) == (-1.0, 1.0), "right, and not paid for"
    cut = score(episode("#### 4", "4", finish="length"), NUMERIC, SHORT, PENALTIES)
    assert (cut.total, cut.verdict) == (-1.0, 1.0)


def test_a_penalised_right_answer_is_worse_than_every_other_wrong_one():
    clean = ["#### 4", "#### 5", "", "no", "a wrong answer that is long: #### 5"]
    bad = ["no " * 20 + "#### 4", "no " * 20, "\ufffd#### 4", "#### \ufffd5"]
    others = [score(episode(text, "4"), NUMERIC, SHORT, PENALTIES).total for text in clean]
    penalised = [score(episode(text, "4"), NUMERIC, SHORT, PENALTIES).total for text in bad]
    penalised += [score(episode(text, "4", finish="length"), NUMERIC, SHORT, PENALTIES).total for text in clean + bad]
    assert others == [1.25, 0.25, 0.25, 0.25, 0.0]
    assert penalised == [-1.0] * 13


def test_the_order_of_components_does_not_matter_to_reward_and_verdict():
    found = {
        (scores.total, scores.verdict)
        for parts in itertools.permutations((NUMERIC, PENALTIES, SHORT | {"tasks": ["other"]}))
        for scores in [score(episode("#### 4", "4", finish="length"), *parts)]
    }
    assert found == {(-1.0, 1.0)}


def test_a_veto_of_any_component_and_the_lowest_of_several():
    bare = score(episode("\\boxed{4}", "4"), NUMERIC, SHORT, TIDY, PENALTIES)
    assert bare.components == {"numeric": 0.0, "short": 0.0, "tidy": 0.0, "penalties": 0.0}
    assert (bare.total, bare.verdict) == (0.0, 1.0)
    both = score(episode("\\boxed{4}", "4", finish="length"), TIDY | {"name": "first"}, PENALTIES, NUMERIC)
    assert both.components == {"first": 0.0, "penalties": -1.0, "numeric": 0.0}
    gate = score(episode("#### 5", "4"), NUMERIC | {"veto": 0}, SHORT)
    assert (gate.total, gate.verdict) == (0.0, 0.0), "nothing is paid for a wrong answer"


def test_an_evaluation_counts_vetoes_only_if_it_is_asked_to():
    right = episode("#### 4", "4", finish="length")
    assert score(right, NUMERIC, PENALTIES).verdict == 1.0
    assert score(right, NUMERIC, PENALTIES, vetoes=True).verdict == -1.0
    assert score(episode("#### 4", "4"), NUMERIC, PENALTIES, vetoes=True).verdict == 1.0
    assert score(episode("4", "4"), SHORT, TIDY, vetoes=True).verdict == 0.0
    assert score(right, NUMERIC, PENALTIES, verdict="penalties").verdict == 0.0


def test_a_veto_is_for_its_task_sets_and_can_be_turned_off():
    cut = episode("#### 4", "4", finish="length", env="sums")
    assert score(cut, NUMERIC, PENALTIES | {"tasks": ["other"]}).total == 1.0
    assert score(cut, NUMERIC, PENALTIES | {"veto": None, "weight": 0.5}).total == 1.0
    assert score(episode("#### 4", "4"), NUMERIC, PENALTIES | {"veto": None, "weight": 0.5}).total == 1.5
    assert score(cut, NUMERIC, PENALTIES | {"veto": -3}).total == -3.0
    only = score(episode("#### 4", "4"), PENALTIES)
    assert only.verdict == 1.0, "where nothing verifies, the first decides"
    with pytest.raises(ValidationError):
        score(cut, NUMERIC | {"veto": 0.5})
    with pytest.raises(ValidationError):
        score(cut, NUMERIC, {"kind": "repetition", "veto": -1})  # its best value is 0
    with pytest.raises(ValidationError):
        score(cut, NUMERIC, {"kind": "length", "limit": 9, "buffer": 3, "veto": -1})


def test_options_that_came_later_leave_published_results_as_they_are():
    later = {type(one).__name__: type(one).later for one in BEFORE}
    plain = {"veto"}
    assert later == dict.fromkeys(later, plain) | {
        "FormatConfig": plain | {"tags", "box"},
        "MathsConfig": plain | {"tolerance", "unmarked"},
        "PluginRewardConfig": plain | {"scope"},
    }
    assert all(one.veto is None for one in BEFORE)


@given(st.lists(st.tuples(st.floats(-5, 5), st.sampled_from([None, 0.0, -0.5, -1.0]), st.booleans()), min_size=1))
def test_the_reward_is_the_lowest_veto_or_else_the_sum(parts: list[tuple[float, float | None, bool]]):
    components = [
        {"kind": "regex", "name": f"r{i}", "pattern": "a" if hit else "z", "weight": weight, "veto": veto}
        for i, (weight, veto, hit) in enumerate(parts)
    ]
    scores = score(episode("a"), *components)
    vetoes = [veto for _, veto, hit in parts if veto is not None and not hit]
    expected = min(vetoes) if vetoes else sum(weight for weight, _, hit in parts if hit)
    assert scores.total == (expected if vetoes else pytest.approx(expected))
    assert sum(scores.components.values()) == pytest.approx(scores.total)
    assert list(scores.components) == [f"r{i}" for i in range(len(parts))]
