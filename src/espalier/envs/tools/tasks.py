"""A task set of questions and tools, for an environment of one's own in a few lines.

def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

def tasks(seed: int) -> ToolTasks:
    rows = [{"question": f"{a} + {b}?", "answer": a + b} for a in range(50) for b in range(50)]
    return ToolTasks([add], rows, seed=seed)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

from espalier.core.errors import ConfigError, EnvError, NoDemonstrationsError
from espalier.core.messages import Message, ToolCall, ToolSpec
from espalier.envs.api import Env, Split, Task
from espalier.envs.shuffled import Shuffled
from espalier.envs.splits import HELDOUT_SHARE, instance_key, split_of
from espalier.envs.tools.box import Session, ToolBox
from espalier.envs.tools.env import ToolEnv

Row = Mapping[str, Any]
Solution = Generator[ToolCall | str, str, None]
"""Yields calls, each of which comes back as the tool's answer, and at last the text of the answer."""


def call(tool: str | Callable[..., Any], **arguments: Any) -> ToolCall:
    """A call of a tool, by its name or its function, for demonstrations."""
    return ToolCall(tool if isinstance(tool, str) else tool.__name__, arguments)


def same(task: Task, said: str) -> float:
    """1.0 where what was said is the reference answer, up to white space."""
    return float(" ".join(said.split()) == " ".join(task.answer.split()))


class ToolTasks:
    """Rows with a `question`, most often an `answer`, and whatever else tools and rewards need (`task.data`).

    `heldout`: the share of rows, by hash of the whole row, that is held out. `system`: a system message. `judge(task,
    text)` gives the reward of an answer; without one the answer must be the reference; None leaves it to the recipe's
    rewards. `demonstrate(row, random)` yields the calls and the answer that solve a row, for a warm start. Other
    options are those of `ToolBox`. Raises ConfigError where a row has no question or a split has no row.
    """

    def __init__(
        self,
        tools: Sequence[Callable[..., Any]],
        rows: Sequence[Row],
        *,
        name: str = "tools",
        seed: int = 0,
        heldout: float = HELDOUT_SHARE,
        system: str = "",
        judge: Callable[[Task, str], float] | None = same,
        demonstrate: Callable[[Row, Random], Solution] | None = None,
        calls: int | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self._box = ToolBox(tools, **options)
        self._system = system
        self._judge = judge
        self._solve = demonstrate
        self._calls = calls
        tasks: dict[Split, list[Task]] = {"train": [], "heldout": []}
        for place, row in enumerate(rows):
            if not isinstance(row.get("question"), str):
                raise ConfigError(
                    f"{name}: row {place} must have a text `question`; it has {', '.join(row) or 'nothing'}"
                )
            key = instance_key(name, {"row": json.dumps(row, sort_keys=True, default=str)})
            split = split_of(key, heldout)
            tasks[split].append(Task(name, key, dict(row), split))
        if empty := [split for split, found in tasks.items() if not found]:
            raise ConfigError(f"{name}: none of its {len(rows)} rows is left for {empty[0]}: give more, or set heldout")
        self._tasks = Shuffled(tasks, seed=seed, name=name)

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`. Every row comes once before any comes again."""
        return self._tasks.task(split, index)

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        return ToolEnv(self.name, self._box, self._opening, self._judge, calls=self._calls)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return self._box.specs

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`. The calls are made, so that the conversation is one that can happen. Raises EnvError where a
        function raises an exception.
        """
        if self._solve is None:
            raise NoDemonstrationsError(f"{self.name} has no demonstrations: pass `demonstrate` to ToolTasks")
        with ThreadPoolExecutor(1) as thread:  # the caller may be inside an event loop
            return thread.submit(asyncio.run, self._shown(task, self._solve(task.data, rng))).result()

    async def _shown(self, task: Task, solution: Solution) -> list[Message]:
        messages = list(self._opening(task))
        session: Session = self._box.open(task)
        try:
            said: ToolCall | str | None = next(solution, None)
            while isinstance(said, ToolCall):
                numbered = ToolCall(said.name, said.arguments, id=f"call_{len(messages)}")
                answer = await session.answer(numbered)
                if answer.raised:
                    raise EnvError(f"{self.name}: the demonstration calls a tool that fails: {answer.text:.500}")
                messages += [Message.assistant("", tool_calls=(numbered,)), Message.tool(answer.text, numbered.id)]
                try:
                    said = solution.send(answer.text)
                except StopIteration:
                    return messages[:-1]  # the last call was the end
            return messages if said is None else [*messages, Message.assistant(str(said))]
        finally:
            await session.close()

    def _opening(self, task: Task) -> list[Message]:
        system = [Message.system(self._system)] if self._system else []
        return [*system, Message.user(str(task.data["question"]))]
