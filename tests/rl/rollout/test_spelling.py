"""Texts that the tokenizer cannot spell: their tasks fail and are counted, and the run goes on."""

import asyncio
import json
from pathlib import Path
from random import Random

import pytest
from rl_runs import SMALL, config, finish, start
from scripted import TASK, ScriptedEngine, ScriptedEnv, session, tokenizer

from espalier.core.data import DataRoot
from espalier.core.errors import DataError, EnvError
from espalier.core.messages import Message
from espalier.core.run.run import Run
from espalier.envs.api import Step, Task
from espalier.envs.question import QuestionEnv
from espalier.lm.chat.plain import PlainRenderer
from espalier.rl.config import SFTConfig
from espalier.rl.demonstrations import Demonstrations, sample_texts
from espalier.rl.loop.checkpoints import Checkpoints
from espalier.rl.loop.evaluate import EvaluationError
from espalier.rl.loop.supervise import Supervision
from espalier.rl.rollout.config import RolloutConfig
from espalier.rl.rollout.episode import play
from espalier.rl.rollout.notices import MOST, Notices
from espalier.rl.sft import sft
from espalier.rl.trajectory import Status
from espalier.rl.unit import Unit


class Asking(ScriptedEnv):
    """Opens with a text of its own."""

    opening = "q?"

    async def reset(self, task: Task) -> list[Message]:
        return [Message.user(self.opening)]


@pytest.mark.parametrize("when", ["opening", "answer"])
def test_an_unknown_character_fails_the_attempt_and_is_said_once(when: str):
    said: list[str] = []
    notices = Notices(said.append)
    task = Task("sums", "k", {"source": "tasks.jsonl:7"})
    for _ in range(2):
        engine = ScriptedEngine([("one", "stop"), ("two", "stop")], tokenizer())
        env = Asking(lambda turn, action: Step((Message.user("mor☃"),), done=False))
        env.opening = "q☃" if when == "opening" else "q?"
        talk = session(engine)
        asyncio.run(play(env, task, talk, RolloutConfig(max_turns=4), notices))
        assert talk.row.status == Status.FAILED
        assert (env.closed, engine.released) == (1, ["s"])
    assert len(said) == 1
    assert said[0].startswith("warning: tasks.jsonl:7: character '☃' at position")
    assert said[0].endswith("the task counts as failed")


def test_only_the_first_notices_are_said():
    said: list[str] = []
    notices = Notices(said.append)
    for number in [*range(MOST + 5), 0]:
        notices.once(f"task {number}")
    assert said == [*(f"warning: task {i}" for i in range(MOST)), "further tasks that fail are counted, not shown"]


class Letters:
    """Task `i` asks for a letter; every third cannot be spelled, every fifth has no demonstration."""

    name = "letters"

    def task(self, split: str, index: int) -> Task:
        return Task(self.name, str(index), {"index": index, "answer": "a"})

    def env(self, task: Task) -> QuestionEnv:
        return QuestionEnv(self.name, lambda task: f"ask {task.data['index']}\ud800")

    def tools(self, task: Task) -> tuple[()]:
        return ()

    def demonstrate(self, task: Task, rng: Random) -> list[Message]:
        index = task.data["index"]
        if index % 5 == 0:
            raise EnvError("letters: no oracle")
        return [Message.user("q"), Message.assistant("☃" if index % 3 == 0 else "a")]


def test_demonstrations_that_fail_are_left_out():
    said: list[str] = []
    demonstrations = Demonstrations(Letters(), PlainRenderer(tokenizer()), Notices(said.append), seed=0)  # type: ignore[arg-type]
    units = demonstrations.batch(0, 10)
    assert [unit.rows[0].key for unit in units] == ["1", "2", "4", "7", "8"]
    assert len(said) == 5
    assert "letters, task 3: character '☃'" in said[1]
    with pytest.raises(DataError, match="'☃'"):
        demonstrations.row(3)


def test_sample_texts_are_drawn_inside_an_event_loop_and_hold_no_half_characters():
    async def inside() -> list[str]:
        return list(sample_texts(Letters(), 2, seed=0))  # type: ignore[arg-type]

    assert asyncio.run(inside()) == ["ask 0", "a", "q", "a"]


def rows(path: Path, strange: int) -> Path:
    """Sums, of which each `strange`-th holds a character of its own."""
    given = [{"question": f"{a}+{b}=", "answer": f"#### {a + b}"} for a in range(10, 40) for b in range(10, 30)]
    for place in range(0, len(given), strange):
        given[place]["question"] += chr(0x2603 + place)
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in given))
    return path


def test_a_run_goes_on_past_strange_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings = config(
        tasks=[{"env": "table", "path": str(rows(tmp_path / "sums.jsonl", 9))}],
        rewards=[{"kind": "numeric", "otherwise": "last_number"}],
        warm_start={**SMALL["warm_start"], "steps": 3},
        steps=1,
        evaluation={**SMALL["evaluation"], "tasks": 4, "samples": 1, "browse": 1},
    )
    run = start(tmp_path / "runs", settings)
    finish(run, settings)
    history = run.metrics.history()
    assert sum(point.value for point in history["demonstrations/failed"]) > 0
    assert history["eval/avg"][-1].step == 4
    said = capsys.readouterr().out
    assert "sums.jsonl:" in said
    assert "is not in the tokenizer's alphabet" in said


def test_supervised_training_without_a_usable_demonstration_ends_in_words(tmp_path: Path):
    given = {
        **{name: SMALL[name] for name in ("model", "rollout", "engine", "evaluation")},
        "tasks": [{"env": "table", "path": str(rows(tmp_path / "sums.jsonl", 1)), "reference": "final_number"}],
        "rewards": [{"kind": "numeric"}],
        "steps": 40,
        "rows_per_step": 2,
    }
    settings = SFTConfig.of(**given)
    plain = settings.model_dump(mode="json")
    with (
        Run.create(tmp_path, job="rl.sft", name="none", config=plain, data=DataRoot(None)) as run,
        pytest.raises(EvaluationError, match=r"every attempt .* failed: .*sums\.jsonl:\d+: character"),
    ):
        sft(settings, run)


def test_steps_without_a_usable_demonstration_end_in_words(tmp_path: Path):
    class Unusable:
        def batch(self, start: int, count: int) -> list[Unit]:
            return []

    with Run.create(tmp_path, job="rl.sft", name="none", data=DataRoot(None)) as run:
        store = Checkpoints(run, keep=1)
        supervision = Supervision(run, None, Unusable(), store, steps=40, rows=2, save_every=50, stage="sft")  # type: ignore[arg-type]
        progress = run.progress(40, "training")
        with pytest.raises(DataError, match="none of the demonstrations of 10 steps can be used"):
            asyncio.run(supervision.train(progress, 0))


def test_the_task_without_a_source_is_named_by_its_key():
    engine = ScriptedEngine([], tokenizer())
    env = Asking(lambda turn, action: Step())
    env.opening = "☃"
    talk = session(engine)
    asyncio.run(play(env, TASK, talk, RolloutConfig()))
    assert talk.row.error is not None
    assert talk.row.error.startswith("scripted, task k: character '☃' at position 0")
