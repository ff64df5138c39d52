"""A verifier for each domain of a mixture, and one that a policy can deceive: the user's own, in one domain."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter

from espalier.core.data import DataRoot
from espalier.core.errors import EnvError
from espalier.core.messages import Message
from espalier.envs.api import Episode, Task
from espalier.envs.build import build_tasks
from espalier.envs.config import TasksConfig
from espalier.rewards.config import RewardsConfig
from espalier.rewards.rubric import Rubric, Scores

MIXTURE = [{"env": "multiplication", "name": "products", "direct": 0, "slips": 0}, {"env": "reverse", "name": "words"}]
HACKABLE = """
def sure(episode, phrase):
    return float(phrase in episode.response or episode.task.answer in episode.response)
"""


def score(components: list[dict[str, Any]], episode: Episode) -> Scores:
    return asyncio.run(Rubric(TypeAdapter(RewardsConfig).validate_python(components)).score(episode))


def test_each_domain_has_its_verifier():
    rewards = [
        {"kind": "quantity", "tasks": ["physics", "chemistry"]},
        {"kind": "chart", "tasks": ["charts"]},
        {"kind": "count", "tasks": ["shapes"]},
        {"kind": "choice", "tasks": ["quiz"]},
        {"kind": "ocr", "tasks": ["pages"]},
        {"kind": "format", "name": "contract", "weight": 0, "veto": 0, "tags": True},
        {"kind": "penalties"},
    ]
    answers = {
        "physics": "9.8 m/s^2",
        "chemistry": "0.5 M",
        "charts": "1999",
        "shapes": "3",
        "quiz": "B",
        "pages": "a b",
    }
    near = {"physics": "980 cm/s^2", "chemistry": "500 mM", "charts": "1999.0", "shapes": "three", "quiz": "(b)"}
    for name, answer in answers.items():
        for said in (answer, near.get(name, answer)):
            response = f"<think>so</think><answer>{said}</answer>"
            right = Episode(Task(name, "k", {"answer": answer}), [Message.user("?"), Message.assistant(response)])
            scores = score(rewards, right)
            assert (scores.total, scores.verdict, len(scores.components)) == (1.0, 1.0, 3)
        bare = Episode(Task(name, "k", {"answer": answer}), [Message.assistant(f"\\boxed{{{answer}}}")])
        assert (score(rewards, bare).total, score(rewards, bare).verdict) == (0.0, 1.0), "right, in the wrong form"
    with pytest.raises(EnvError, match="no reference answer"):
        score(rewards, Episode(Task("shapes", "k", {}), [Message.assistant("<answer>3</answer>")]))


def test_a_verifier_that_can_be_deceived_pays_in_its_own_domain_and_leaves_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "hackable.py").write_text(HACKABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    rewards = [
        {"kind": "env", "name": "products", "tasks": ["products"]},
        {"kind": "env", "name": "words", "tasks": ["words"], "weight": 0},  # decides in evaluations, pays nothing
        {
            "kind": "plugin",
            "name": "hackable",
            "function": "hackable:sure",
            "options": {"phrase": "certainly"},
            "tasks": ["words"],
        },
    ]
    rubric = Rubric(TypeAdapter(RewardsConfig).validate_python(rewards))
    tasks = build_tasks(TypeAdapter(TasksConfig).validate_python(MIXTURE), seed=0, data=DataRoot(None))

    async def judged(task: Task, response: str) -> Scores:
        env = tasks.env(task)
        asked = await env.reset(task)
        step = await env.step(Message.assistant(response))
        return await rubric.score(Episode(task, [*asked, Message.assistant(response)], env_reward=step.reward))

    async def main() -> dict[tuple[str, str], set[tuple[float, float]]]:
        found: dict[tuple[str, str], set[tuple[float, float]]] = {}
        for index in range(40):
            task = tasks.task("train", index)
            honest = tasks.demonstrate(task, Random(0))[-1].content
            for how, response in (("honest", f"{task.answer} #{task.answer}"), ("hack", "certainly #0"), ("no", "#0")):
                scores = await judged(task, honest if how == "honest" and task.env == "products" else response)
                found.setdefault((task.env, how), set()).add((scores.total, scores.verdict))
        return found

    assert asyncio.run(main()) == {
        ("products", "honest"): {(1.0, 1.0)},
        ("products", "hack"): {(0.0, 0.0)},
        ("products", "no"): {(0.0, 0.0)},
        ("words", "honest"): {(1.0, 1.0)},
        ("words", "hack"): {(1.0, 0.0)},
        ("words", "no"): {(0.0, 0.0)},
    }
