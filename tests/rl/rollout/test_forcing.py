"""Force answering: thoughts that reach their limit are cut, and answered."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rl_runs import SMALL, config, finish, start
from scripted import ScriptedEngine, tokenizer

from espalier.core.messages import Message
from espalier.engine.api import Sampling
from espalier.lm.chat.plain import PlainRenderer
from espalier.rl.rollout.config import ForcingConfig, RolloutConfig
from espalier.rl.rollout.forcing import Forcing
from espalier.rl.rollout.session import Session
from espalier.rl.trajectory import Trajectory

TOKENS = tokenizer()
HASH = ForcingConfig(text=" #", marker="#", answer=3)


def opened(
    script: list[tuple[str, Any]], *, max_tokens: int = 8, max_len: int = 100, forcing: ForcingConfig = HASH
) -> Session:
    engine = ScriptedEngine(script, TOKENS, max_len=max_len)
    renderer = PlainRenderer(TOKENS)
    sampling = Sampling(max_tokens=max_tokens, stop=renderer.stop)
    row = Trajectory("toy", "k")
    found = Session(engine, renderer, row, sampling, name="s", forcing=Forcing.of(forcing, TOKENS))  # type: ignore[arg-type]
    found.open([Message.user("q")])
    return found


def act(session: Session) -> tuple[str, str]:
    message, ended = asyncio.run(session.act())
    session.row.check()
    return message.content, ended


def sampled(session: Session) -> str:
    row = session.row
    return TOKENS.decode([token for token, own in zip(row.tokens, row.mask, strict=True) if own])


def test_a_thought_that_reaches_its_limit_is_cut_and_answered():
    found = opened([("aaaaaaaaaa", "stop"), ("7", "stop")])
    assert act(found) == ("aaaaa #7", "stop")
    assert sampled(found) == "aaaaa7<|end|>"
    assert found.row.info["forced"] is True
    assert [(turn.role, turn.end) for turn in found.row.turns] == [("prompt", 2), ("assistant", 11)]
    assert found.row.sampled == 7
    inserted = [i for i, own in enumerate(found.row.mask) if not own]
    assert [found.row.versions[i] for i in inserted] == [-1] * 4
    assert [found.row.logprobs[i] for i in inserted] == [0.0] * 4


def test_an_answer_that_has_begun_goes_on_without_help():
    found = opened([("aa #1234567", "stop"), ("2345", "stop")])
    assert act(found) == ("aa #1234", "length")
    assert "forced" not in found.row.info
    assert all(found.row.mask[2:])


def test_a_turn_that_ends_by_itself_is_left_alone():
    found = opened([("a #1", "stop")])
    assert act(found) == ("a #1", "stop")
    assert "forced" not in found.row.info


def test_new_weights_in_the_middle_of_a_thought_and_of_an_answer():
    found = opened([("aa", "abort"), ("aaaaaa", "stop"), ("1", "abort"), ("2", "stop")])
    assert act(found) == ("aaaaa #12", "stop")
    assert [version for version in found.row.versions if version >= 0] == [0, 0, 1, 1, 1, 1, 2, 2]


def test_a_later_turn_with_no_tokens_left_to_think_answers_at_once():
    found = opened([("aaaa #7", "stop"), ("9", "stop")], max_tokens=11)
    assert act(found) == ("aaaa #7", "stop")
    assert found.observe([Message.user("and")])
    assert act(found) == (" #9", "stop")
    assert sampled(found) == "aaaa #7<|end|>9<|end|>"


def test_without_room_nothing_is_inserted():
    found = opened([("aaaaaaaaaa", "stop"), ("", "length")], max_len=9)
    content, ended = act(found)
    assert content.startswith("aaaa")
    assert ended == "length"
    assert len(found.row.tokens) <= 9


def test_control_tokens_are_inserted_by_name():
    found = opened([("aaaaaaaaaa", "stop"), ("7", "stop")], forcing=ForcingConfig(answer=3))
    message, _ = asyncio.run(found.act())
    assert (message.reasoning, message.content) == ("aaaaa", "7")


def test_an_answer_that_leaves_nothing_to_think_is_refused():
    with pytest.raises(ValidationError, match="must leave tokens to think"):
        RolloutConfig(max_tokens=16, forcing=ForcingConfig(answer=16))


@pytest.mark.parametrize(("text", "marker"), [(" so", "#"), ("#", "")])
def test_a_text_that_begins_no_answer_is_refused(text: str, marker: str):
    with pytest.raises(ValidationError, match="must contain marker"):
        ForcingConfig(text=text, marker=marker)


def test_evaluations_are_forced_only_where_they_are_told_to(tmp_path: Path):
    forcing = {"text": "#", "marker": "#", "answer": 4}
    rollout = {**SMALL["rollout"], "max_tokens": 12}
    tasks = [{"env": "multiplication", "digits": 2, "direct": 0.0}]
    shorter: dict[str, Any] = {"steps": 1, "tasks": tasks, "stop_after_idle": 0}
    lengths = []
    for changes in ({"rollout": {**rollout, "forcing": forcing}}, {"rollout": rollout}):
        for evaluation in (SMALL["evaluation"], {**SMALL["evaluation"], "forcing": forcing}):
            settings = config(**{**shorter, **changes, "evaluation": evaluation})
            run = start(tmp_path, settings)
            finish(run, settings)
            lengths.append(run.metrics.history()["eval/len"][0].value)
    assert lengths[0] == lengths[2], "before training, the same evaluation whatever training forces"
    assert lengths[1] == lengths[3]


def test_a_run_counts_what_it_forced_and_trains_the_rest(tmp_path: Path):
    (tmp_path / "odd.py").write_text("def odd(episode):\n    return float(len(episode.response) % 2)\n")
    forcing = {"text": "#", "marker": "#", "answer": 4}
    settings = config(
        tasks=[{"env": "multiplication", "digits": 2, "direct": 0.0}],
        rollout={**SMALL["rollout"], "forcing": forcing, "max_tokens": 12},
        rewards=[{"kind": "plugin", "function": f"{tmp_path}/odd.py:odd"}],
    )
    run = start(tmp_path, settings)
    finish(run, settings)
    history = run.metrics.history()
    forced = [point.value for point in history["len/forced"]]
    assert any(0.0 < share <= 1.0 for share in forced)
    assert max(point.value for point in history["mismatch/0/abs"]) < 1e-5
