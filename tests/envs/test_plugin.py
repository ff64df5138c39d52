"""The user's own environments: whatever they do, the run goes on and their line is named."""

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from espalier.core.errors import ConfigError, EnvError
from espalier.core.messages import Message
from espalier.core.plugins import culprit, imported
from espalier.envs.adapters.plugin import PluginConfig, PluginTasks
from espalier.envs.workers.deadline import within

MODULE = """
import asyncio, time
from espalier.core.messages import Message
from espalier.envs.api import Step, Task
from espalier.envs.question import QuestionEnv

class Env:
    name = "odd"
    def __init__(self, mode): self.mode, self.turn = mode, 0
    def tools(self): return []
    async def reset(self, task): return [Message.user("go")]
    async def step(self, action):
        self.turn += 1
        if self.mode == "spin":
            while True: pass
        if self.mode == "block": time.sleep(0.1)
        if self.mode == "raise": return {}["boom"]
        if self.mode == "none": return None
        if self.mode == "nan": return Step(reward=float("nan"))
        if self.mode == "text": return Step(messages="hello", done=False)
        return Step((Message.user("on"),), reward=self.turn / 4, done=self.turn == 2, info={"n": 1})
    async def close(self): pass

class Odd:
    name = "odd"
    def __init__(self, seed, mode="ok"): self.seed, self.mode = seed, mode
    def task(self, split, index):
        if self.mode == "no task": raise IndexError(index)
        if self.mode == "wrong task": return {"question": "?"}
        return Task("odd", str(index), {"answer": str(self.seed)}, split)
    def env(self, task):
        if self.mode == "question":
            return QuestionEnv("odd", lambda t: t.data["answer"], lambda t, said: float(said == t.answer))
        return Env(self.mode)
    def tools(self, task): return ()
    def demonstrate(self, task, rng): return [Message.user("?"), Message.assistant(str(rng.random()))]
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "odd_tasks.py").write_text(MODULE)
    (tmp_path / "broken_tasks.py").write_text("x = 1\ny = {}['missing']\n")
    (tmp_path / "unparsed_tasks.py").write_text("x = 1\ndef f(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])

    def make(mode: str, **settings: object) -> PluginTasks:
        return PluginTasks(PluginConfig(factory="odd_tasks:Odd", options={"mode": mode}, **settings), 5)  # type: ignore[arg-type]

    return make


async def play(tasks: PluginTasks, seconds: float = 2.0, turns: int = 1) -> object:
    """The reward of the last of `turns` steps, or the error."""
    task = tasks.task("train", 0)
    env = tasks.env(task)
    try:
        await env.reset(task)
        for _ in range(turns):
            step = await within(seconds, env.step(Message.assistant("5")))
        await env.close()
        return step.reward
    except TimeoutError:
        return "late"
    except EnvError as error:
        return str(error)


def test_episodes_keep_their_state_and_end(odd):
    tasks = odd("ok")

    async def two() -> list[object]:
        return await asyncio.gather(play(tasks, turns=2), play(tasks, turns=1))

    assert asyncio.run(two()) == [0.5, 0.25]
    assert asyncio.run(play(odd("question"))) == 1.0
    assert asyncio.run(play(odd("ok", workers=2), turns=2)) == 0.5
    assert tasks.task("heldout", 3).data == {"answer": "5"}
    assert tasks.demonstrate(tasks.task("train", 0), Random(1))[-1].content == str(Random(1).random())
    assert odd("ok", name="mine").task("train", 0).env == "mine"


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("raise", r"odd: step raised KeyError: 'boom' \(.*odd_tasks\.py:17\)"),
        ("none", "odd: step gave NoneType, not Step"),
        ("nan", "odd: step gave the reward nan, which is not finite"),
        ("text", "odd: step gave str, not a list of messages"),
    ],
)
def test_an_environment_that_errs_is_named_with_its_line(odd, mode: str, message: str):
    found = asyncio.run(play(odd(mode)))
    with pytest.raises(EnvError, match=f"^{message}$"):
        raise EnvError(str(found))


def test_steps_that_do_not_await_hold_up_nobody_else(odd):
    async def go(tasks: PluginTasks) -> tuple[list[object], float]:
        last, gap = time.monotonic(), 0.0
        work = asyncio.gather(*(play(tasks, seconds=0.5) for _ in range(8)))
        while not work.done():
            await asyncio.sleep(0.005)
            now = time.monotonic()
            last, gap = now, max(gap, now - last)
        return list(await work), gap

    found, gap = asyncio.run(go(odd("block")))
    assert found == [0.25] * 8, "0.8 s in all, each with a deadline of 0.5 s"
    assert gap < 0.4
    found, gap = asyncio.run(go(odd("spin")))
    assert "late" in found
    assert gap < 0.4


def test_the_sets_own_mistakes(odd):
    with pytest.raises(EnvError, match=r"odd: task raised IndexError: 3 \(.*odd_tasks\.py:28\)"):
        odd("no task").task("train", 3)
    with pytest.raises(EnvError, match="task gave dict, not Task"):
        odd("wrong task").task("train", 3)
    for factory, message in {
        "broken_tasks:f": r"importing it raised KeyError: 'missing' \(.*broken_tasks\.py:2\)",
        "unparsed_tasks:f": r"importing it raised SyntaxError: .*unparsed_tasks\.py:2\)",
        "odd_tasks:Odd.task": "odd_tasks:Odd.task: ",
    }.items():
        with pytest.raises(ConfigError, match=message):
            PluginTasks(PluginConfig(factory=factory), 0)
    with pytest.raises(ConfigError, match=r"odd_tasks:Odd: TypeError: .*unexpected keyword argument 'nothing'"):
        PluginTasks(PluginConfig(factory="odd_tasks:Odd", options={"nothing": 1}), 0)


def test_tasks_made_ahead_are_those_made_one_by_one(odd):
    tasks, again = odd("ok"), odd("ok")
    assert [tasks.task("train", i) for i in range(200)] == [again.task("train", i) for i in reversed(range(200))][::-1]
    assert [tasks.task(split, 7).split for split in ("train", "heldout", "train")] == ["train", "heldout", "train"]


def test_the_culprit_is_the_users_innermost_line(odd, tmp_path: Path):
    import json

    (tmp_path / "calls_library.py").write_text("import json\ndef f(text):\n    return json.loads(text)\n")
    with pytest.raises(json.JSONDecodeError) as caught:
        imported("calls_library:f")("{")
    assert culprit(caught.value) == f"{tmp_path}/calls_library.py:3", "not json's own line"
    assert culprit(ValueError("never raised")) == ""


KILLED = """
import os, signal
from pathlib import Path
from espalier.envs.api import Task

class Killed:
    name = "killed"
    def __init__(self, times): self.times = times
    def task(self, split, index):
        seen = Path("seen")
        count = int(seen.read_text()) if seen.exists() else 0
        seen.write_text(str(count + 1))
        if count < self.times: os.kill(os.getpid(), signal.SIGKILL)
        return Task("killed", str(index), {"n": index}, split)
    def env(self, task): raise NotImplementedError
"""


def test_a_process_that_is_killed_while_it_makes_a_task_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "killed_tasks.py").write_text(KILLED)
    monkeypatch.chdir(tmp_path)
    factory = f"{tmp_path}/killed_tasks.py:Killed"
    assert PluginTasks(PluginConfig(factory=factory, options={"times": 1}), 0).task("train", 3).data == {"n": 3}
    (tmp_path / "seen").unlink()
    with pytest.raises(EnvError, match="killed: tasks: the worker process ended by itself"):
        PluginTasks(PluginConfig(factory=factory, options={"times": 9}), 0).task("train", 3)
