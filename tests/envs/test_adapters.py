import asyncio
from pathlib import Path
from random import Random

import pytest

from espalier.core.errors import ConfigError
from espalier.core.messages import Message
from espalier.envs.adapters.plugin import PluginConfig, PluginTasks
from espalier.envs.adapters.reasoning_gym import ReasoningGym, ReasoningGymConfig
from espalier.envs.api import Task, TaskSet


def judge(tasks: TaskSet, task: Task, text: str) -> float | None:
    async def go() -> float | None:
        env = tasks.env(task)
        await env.reset(task)
        return (await env.step(Message.assistant(text))).reward

    return asyncio.run(go())


@pytest.mark.parametrize("name", ["chain_sum", "spell_backward", "number_sorting", "basic_arithmetic", "word_sorting"])
def test_reasoning_gym_references_are_right_by_its_own_scorer(name: str):
    tasks = ReasoningGym(ReasoningGymConfig(task=name), 0)
    for index in range(40):
        task = tasks.task("train", index)
        answer = tasks.demonstrate(task, Random(0))[-1].content
        assert judge(tasks, task, f" {answer}\n") == 1.0
        assert (judge(tasks, task, "certainly wrong") or 0.0) < 1.0
    train = {tasks.task("train", i).key for i in range(200)}
    assert train.isdisjoint(tasks.task("heldout", i).key for i in range(200))
    assert tasks.task("train", 3) == ReasoningGym(ReasoningGymConfig(task=name), 0).task("train", 3)


def test_reasoning_gym_with_options_and_an_answer_form():
    config = ReasoningGymConfig(
        task="chain_sum",
        options={"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
        answer_pattern=r"(?s).*<answer>(.*)</answer>",
        answer_template="<answer>{answer}</answer>",
    )
    tasks = ReasoningGym(config, 0)
    task = tasks.task("train", 0)
    assert judge(tasks, task, f"hm <answer>{task.answer}</answer>") == 1.0
    assert judge(tasks, task, task.answer) == 0.0
    assert judge(tasks, task, tasks.demonstrate(task, Random(0))[-1].content) == 1.0


def test_reasoning_gym_mistakes():
    with pytest.raises(ConfigError, match="no task 'chain_sums'; did you mean 'chain_sum'"):
        ReasoningGym(ReasoningGymConfig(task="chain_sums"), 0)
    with pytest.raises(ConfigError, match="options of the reasoning-gym task chain_sum"):
        ReasoningGym(ReasoningGymConfig(task="chain_sum", options={"min_trems": 2}), 0)
    with pytest.raises(ValueError, match="must have one group"):
        ReasoningGymConfig(task="chain_sum", answer_pattern="(a)(b)")
    with pytest.raises(ValueError, match="is no regular expression"):
        ReasoningGymConfig(task="chain_sum", answer_pattern="(")


MODULE = """
from espalier.envs.api import Task

class Sums:
    name = "sums"
    def __init__(self, seed, largest=9): self.seed, self.largest = seed, largest
    def task(self, split, index): return Task("sums", "k", {"seed": self.seed, "largest": self.largest}, split)
    def env(self, task): ...
    def tools(self, task): return ()
    def demonstrate(self, task, rng): ...

class Half:
    name = "half"
    def __init__(self, seed): ...

number = 3
"""


def test_a_plugin_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_tasks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    tasks = PluginTasks(PluginConfig(factory="my_tasks:Sums", options={"largest": 5}), seed=4)
    assert tasks.name == "sums"
    assert tasks.task("train", 0).data == {"seed": 4, "largest": 5}
    for factory, message in {
        "my_tasks:Half": "which is no TaskSet: it lacks task, env",
        "my_tasks:Summs": "my_tasks has no Summs",
        "my_tasks:number": "is int, which cannot be called",
        "no_such_module:f": "No module named 'no_such_module'; is the module installed, or in",
    }.items():
        with pytest.raises(ConfigError, match=message):
            PluginTasks(PluginConfig(factory=factory), seed=0)
    with pytest.raises(ValueError, match="factory"):
        PluginConfig(factory="no colon")
