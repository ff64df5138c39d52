"""The inference-scaling probe: thoughts cut at budgets, and who answers from them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from rl_runs import SMALL, config, finish, start
from scripted import ScriptedEngine, ScriptedEnv, ScriptedTasks, tokenizer

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.core.messages import Message
from espalier.core.run.run import Run
from espalier.engine.api import Completion, Sampling
from espalier.envs.api import Episode, Step, Task
from espalier.lm.chat.plain import PlainRenderer
from espalier.rewards.config import ENV_REWARD
from espalier.rewards.rubric import Rubric
from espalier.rl.config import SFTConfig
from espalier.rl.demonstrations import Demonstrations
from espalier.rl.eval_config import EvalConfig
from espalier.rl.loop.budgets import Budgets, CutFork
from espalier.rl.measure import measure
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.attempts import Attempts
from espalier.rl.rollout.config import BudgetsConfig, CutConfig, RolloutConfig
from espalier.rl.rollout.forcing import Forcing
from espalier.rl.rollout.notices import Notices
from espalier.rl.sft import sft
from espalier.rl.trajectory import Trajectory

TOKENS = tokenizer()
HASH = BudgetsConfig(text=" #", marker="#", answer=3, tokens=(0, 2, 4, 8))
TASK = Task("scripted", "k", {})


class Reader(ScriptedEngine):
    """Answers 7 if it can read a `k` in what it is given, and else 0."""

    async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
        known = "k" in TOKENS.decode(list(prompt))
        ids = [*TOKENS.encode("7" if known else "0"), TOKENS.id("<|end|>")][: sampling.max_tokens]
        self.asked.append((list(prompt), sampling, session))
        return Completion(ids, [0.0] * len(ids), [0.0] * len(ids), [0] * len(ids), "stop", 0, len(prompt), 0.0)


def group(*thoughts: str) -> ScoredGroup:
    found = ScoredGroup(0, TASK)
    for member, text in enumerate(thoughts):
        row = Trajectory("scripted", "k", 0, member)
        row.observe([*TOKENS.encode("q?"), TOKENS.id("<|assistant|>")], "prompt")
        ids = [*TOKENS.encode(text), TOKENS.id("<|end|>")]
        row.sample(ids, [-0.1] * len(ids), [0] * len(ids))
        found.rows.append(row)
        found.episodes.append(Episode(TASK, [Message.user("q?"), Message.assistant(text)]))
    return found


def budgets(engine: ScriptedEngine) -> Budgets:
    tasks = ScriptedTasks(lambda: ScriptedEnv(lambda turn, action: Step(reward=float(action.content.endswith("#7")))))
    limits = RolloutConfig(max_tokens=HASH.answer).model_copy(update={"temperature": 0.0})
    attempts = Attempts(engine, PlainRenderer(TOKENS), tasks, Rubric(ENV_REWARD), limits, seed=0)  # type: ignore[arg-type]
    return Budgets(attempts, Forcing.of(HASH, TOKENS), HASH.tokens, correct_above=0.99)


def test_what_can_be_answered_from_cut_thoughts():
    """The `k` is the fourth token of one thought, the second of another, and missing in the third."""
    engine = Reader([], TOKENS)
    found = asyncio.run(budgets(engine)([group("aaak a #7", "ak #0", "aaaaaaaaaaaa")]))
    assert {name: value for name, value in found.items() if name != "budget/slope"} == pytest.approx(
        {"budget/0": 0.0, "budget/2": 1 / 3, "budget/4": 2 / 3, "budget/8": 2 / 3}
    )
    assert found["budget/slope"] == pytest.approx(1 / 6), "by least squares over 1, 2 and 3 doublings"
    assert all(sampling.temperature == 0.0 and sampling.max_tokens == 3 for _, sampling, _ in engine.asked)
    prompts = {TOKENS.decode(prompt) for prompt, _, _ in engine.asked}
    assert "q?<|assistant|> #" in prompts, "the empty thought"
    assert "q?<|assistant|>aaak a  #" in prompts, "the whole thought, without its own answer"


def test_a_row_that_has_no_room_for_an_answer_is_wrong():
    found = group("ak #7")
    found.rows.append(Trajectory("scripted", "k", 0, 1))
    found.rows[1].observe([*TOKENS.encode("q?"), TOKENS.id("<|assistant|>")], "prompt")
    found.episodes.append(Episode(TASK, [Message.user("q?")]))
    assert asyncio.run(budgets(Reader([], TOKENS))([found]))["budget/8"] == 0.5


def test_a_cut_row_trains_nothing():
    (row,) = group("abc #1").rows
    cut = CutFork(row, [], 5, ids=[9, 8]).begin(3)
    assert cut.tokens == [*row.tokens[:5], 9, 8]
    assert not any(cut.mask)
    assert [(turn.role, turn.start, turn.end) for turn in cut.turns] == [("prompt", 0, 3), ("assistant", 3, 7)]
    empty = CutFork(row, [], 3, ids=[9]).begin(3)
    assert [(turn.role, turn.start, turn.end) for turn in empty.turns] == [("prompt", 0, 3), ("assistant", 3, 4)]


def test_the_thought_ends_before_the_marker_or_before_the_stop_token():
    forcing = Forcing.of(HASH, TOKENS)
    assert forcing.thought(TOKENS.encode("ab #7")) == 3
    assert forcing.thought([*TOKENS.encode("abc"), TOKENS.id("<|end|>")]) == 3
    assert forcing.thought([]) == 0


def test_demonstrations_of_an_answerer_train_the_answer_alone():
    class Shown(ScriptedTasks):
        def demonstrate(self, task, rng):  # type: ignore[no-untyped-def]
            return [Message.user("q?"), Message.assistant("abcdef #7")]

    tasks = Shown(lambda: ScriptedEnv(lambda turn, action: Step()))
    forcing = Forcing.of(CutConfig(text=" #", marker="#"), TOKENS)
    shown = Demonstrations(tasks, PlainRenderer(TOKENS), Notices(print), seed=0, cut=forcing)
    texts = set()
    for index in range(60):
        row = shown.row(index)
        assert row.weights is not None
        trained = [token for token, weight in zip(row.tokens, row.weights["ce"], strict=True) if weight]
        assert TOKENS.decode(trained) == "7<|end|>"
        texts.add(TOKENS.decode(row.tokens))
    assert {"q?<|assistant|> #7<|end|>", "q?<|assistant|>abcdef  #7<|end|>"} <= texts
    assert len(texts) == 8


CUT = {"text": "#", "marker": "#"}
TASKS = [{"env": "multiplication", "digits": 1, "direct": 0.0}]


def test_an_answerer_is_trained_and_asked_in_every_evaluation(tmp_path: Path):
    model = {**SMALL["model"]}
    plain = {"tasks": TASKS, "model": model, "steps": 4, "rows_per_step": 8, "cut": CUT}
    plain |= {
        "engine": SMALL["engine"],
        "evaluation": {**SMALL["evaluation"], "browse": 0},
        "rollout": {"max_tokens": 16},
    }
    supervised = SFTConfig.of(**plain)
    run = Run.create(tmp_path, job="rl.sft", name="a", seed=0, config=plain, data=DataRoot(None))
    with run:
        sft(supervised, run)
    asked = {**CUT, "answer": 4, "tokens": [0, 4, 8], "answerer": str(run.path / "model")}
    evaluation = {**SMALL["evaluation"], "budgets": asked}
    settings = config(tasks=TASKS, steps=2, stop_after_idle=0, evaluation=evaluation)
    trained = start(tmp_path, settings)
    finish(trained, settings)
    history = trained.metrics.history()
    assert [len(history[f"budget/{tokens}"]) for tokens in (0, 4, 8)] == [2, 2, 2]
    assert "budget/slope" in history

    measured = EvalConfig.of(
        tasks=TASKS,
        model={"pretrained": str(trained.path / "model")},
        engine=SMALL["engine"],
        rollout={"max_tokens": 16},
        evaluation={**evaluation, "budgets": {**asked, "answerer": None}},
    )
    again = Run.create(tmp_path, job="rl.eval", name="e", seed=0, config=plain, data=DataRoot(None))
    with again:
        measure(measured, again)
    assert "budget/4" in again.metrics.history()


def test_an_answerer_with_other_tokens_is_refused(tmp_path: Path):
    other = config(model={**SMALL["model"], "tokenizer": {"alphabet": "0123456789+*= #x"}}, steps=1, stop_after_idle=0)
    run = start(tmp_path, other)
    finish(run, other)
    asked = {**CUT, "answer": 4, "answerer": str(run.path / "model")}
    settings = config(evaluation={**SMALL["evaluation"], "budgets": asked})
    with pytest.raises(ConfigError, match="has other tokens than the policy's"):
        finish(start(tmp_path, settings), settings)
