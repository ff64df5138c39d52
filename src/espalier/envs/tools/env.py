"""The environment of a task with tools: calls are answered until the model says something without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from espalier.core.errors import EnvError
from espalier.core.messages import Message, ToolCall, ToolSpec
from espalier.envs.api import Step, Task
from espalier.envs.question import Judge
from espalier.envs.tools.box import Answer, Session, Tools

Opening = Callable[[Task], Sequence[Message]]


class ToolEnv:
    """Opens with `opening(task)`, answers calls, judges the first message without one; without `judge` a rubric has to.

    `calls`: calls that are answered; one more ends the episode with the reward 0. The metrics `env/<name>/calls` and
    `env/<name>/call_errors` count calls and those whose answer names a fault.
    """

    def __init__(
        self, name: str, tools: Tools, opening: Opening, judge: Judge | None = None, *, calls: int | None = None
    ) -> None:
        self.name = name
        self._box = tools
        self._opening = opening
        self._judge = judge
        self._left = calls
        self._task: Task | None = None
        self._session: Session | None = None

    def tools(self) -> list[ToolSpec]:
        """The tools."""
        return list(self._box.specs)

    async def reset(self, task: Task) -> list[Message]:
        """The opening messages."""
        self._task, self._session = task, self._box.open(task)
        return list(self._opening(task))

    async def step(self, action: Message) -> Step:
        """The results of calls, or the verdict on the answer."""
        if self._task is None or self._session is None:
            raise EnvError(f"{self.name}: step before reset")
        if not action.tool_calls:
            return Step(reward=self._verdict(action.content))
        answers: list[tuple[ToolCall, Answer]] = []
        for call in action.tool_calls:
            if self._left == len(answers):
                return Step(reward=0.0, info=_counted(answers))
            answers.append((call, await self._session.answer(call)))
            if answers[-1][1].done:
                break
        info, done = _counted(answers), answers[-1][1].done
        if done:
            return Step(reward=self._verdict(action.content) if done.reward is None else done.reward, info=info)
        if self._left is not None:
            self._left -= len(answers)
        return Step(tuple(Message.tool(answer.text, call.id) for call, answer in answers), done=False, info=info)

    async def close(self) -> None:
        """Free what the tools held."""
        if self._session is not None:
            await self._session.close()

    def _verdict(self, said: str) -> float | None:
        return self._judge(self._task, said) if self._judge and self._task else None


def _counted(answers: Sequence[tuple[ToolCall, Answer]]) -> dict[str, float]:
    return {"calls": float(len(answers)), "call_errors": float(sum(answer.fault for _, answer in answers))}
