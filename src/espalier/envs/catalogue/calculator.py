"""A calculator as a tool: expressions too hard to work out at once, one operation a call.

    347*86-529=   ->   [347*86]   29842   [29842-529]   29313   #29313

The tool takes two whole numbers and one of `+ - *`. Demonstrations use it, or guess.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Literal

from pydantic import Field

from espalier.core.errors import EnvError
from espalier.core.messages import Message, ToolCall, ToolSpec
from espalier.envs.api import Env, Step, Task
from espalier.envs.arithmetic import evaluate
from espalier.envs.catalogue.slips import slipped
from espalier.envs.procedural import Procedural, TaskConfig, final

TOOL = ToolSpec(
    "calculate",
    "One operation on two whole numbers, such as 12*34.",
    {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
)
_CALL = re.compile(r"(-?\d{1,18})([+*-])(\d{1,18})")
_OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul}


class CalculatorConfig(TaskConfig):
    """Work out `terms` numbers of `digits` digits, products first."""

    env: Literal["calculator"] = "calculator"
    """The environment."""
    terms: int = Field(default=3, ge=2, le=8)
    """Numbers in the expression: the difficulty, one call for each but the first."""
    digits: int = Field(default=2, ge=1, le=5)
    """Digits of each number."""
    calls: int = Field(default=8, ge=1, le=32)
    """Calls after which the episode ends without an answer."""
    direct: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of demonstrations that answer without the tool, mostly wrong."""


class Calculator(Procedural[CalculatorConfig]):
    """Instances `{"expression": "347*86-529"}`."""

    env_name = "calculator"

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        low, high = 10 ** (self.config.digits - 1), 10**self.config.digits
        first, *rest = (random.randrange(low, high) for _ in range(self.config.terms))
        return {"expression": f"{first}{''.join(random.choice('+-*') + str(number) for number in rest)}"}

    def known(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """See `Procedural`."""
        return {"answer": str(evaluate(data["expression"]))}

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        return CalculatorEnv(self.name, self.config.calls)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return (TOOL,)

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`."""
        opening = Message.user(f"{task.data['expression']}=")
        if rng.random() < self.config.direct:
            return [opening, Message.assistant(f"#{slipped(int(task.answer), 0.9, rng)}")]
        messages = [opening]
        for number, step in enumerate(operations(task.data["expression"])):
            call = ToolCall(TOOL.name, {"expression": step}, id=f"call_{number}")
            messages += [Message.assistant("", tool_calls=(call,)), Message.tool(calculate(call), call.id)]
        return [*messages, Message.assistant(f"#{task.answer}")]


class CalculatorEnv:
    """Answers calls; judges the first message without one."""

    def __init__(self, name: str, calls: int) -> None:
        self.name = name
        self._calls = calls
        self._task: Task | None = None

    def tools(self) -> list[ToolSpec]:
        """The calculator."""
        return [TOOL]

    async def reset(self, task: Task) -> list[Message]:
        """The expression."""
        self._task = task
        return [Message.user(f"{task.data['expression']}=")]

    async def step(self, action: Message) -> Step:
        """The results of calls, or the verdict: 1.0 for `#` and the right value."""
        if self._task is None:
            raise EnvError(f"{self.name}: step before reset")
        if not action.tool_calls:
            return Step(reward=float(final(action.content) == self._task.answer))
        self._calls -= len(action.tool_calls)
        results = [(call, calculate(call)) for call in action.tool_calls]
        wrong = sum(result == "error" for _, result in results)
        info = {"calls": float(len(results)), "call_errors": float(wrong)}
        if self._calls < 0:
            return Step(reward=0.0, info=info)
        return Step(tuple(Message.tool(result, call.id) for call, result in results), done=False, info=info)

    async def close(self) -> None:
        """Nothing to free."""


def calculate(call: ToolCall) -> str:
    """The tool: one operation on two whole numbers; `error` for anything else."""
    found = _CALL.fullmatch(str(call.arguments.get("expression", "")))
    if call.name != TOOL.name or found is None:
        return "error"
    left, sign, right = found.groups()
    return str(_OPERATIONS[sign](int(left), int(right)))


def operations(expression: str) -> list[str]:
    """The calls that work an expression out: products first, then from left to right."""
    terms = [(-1 if part[0] == "-" else 1, part.lstrip("+-")) for part in re.findall(r"[+-]?[^+-]+", expression)]
    steps, values = [], []
    for sign, term in terms:
        product, *factors = map(int, term.split("*"))
        for factor in factors:
            steps.append(f"{product}*{factor}")
            product *= factor
        values.append(sign * product)
    total, *rest = values
    for value in rest:
        steps.append(f"{total}{value:+d}")
        total += value
    return steps
