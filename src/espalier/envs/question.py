"""The environment of one question and one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from espalier.core.errors import EnvError
from espalier.core.messages import Message, ToolSpec
from espalier.envs.api import Step, Task

Ask = Callable[[Task], str | Sequence[Message]]
"""The user's message, or all of the opening messages."""
Judge = Callable[[Task, str], float]


class QuestionEnv:
    """Asks, and judges the answer; without `judge` a rubric has to."""

    def __init__(self, name: str, ask: Ask, judge: Judge | None = None) -> None:
        self.name = name
        self._ask = ask
        self._judge = judge
        self._task: Task | None = None

    def tools(self) -> list[ToolSpec]:
        """None."""
        return []

    async def reset(self, task: Task) -> list[Message]:
        """The question."""
        self._task = task
        asked = self._ask(task)
        return [Message.user(asked)] if isinstance(asked, str) else list(asked)

    async def step(self, action: Message) -> Step:
        """The end, with the judge's reward."""
        return Step(reward=None if self._judge is None else self._judge(self._asked(), action.content))

    async def close(self) -> None:
        """Nothing to free."""

    def _asked(self) -> Task:
        if self._task is None:
            raise EnvError(f"{self.name}: step before reset")
        return self._task
