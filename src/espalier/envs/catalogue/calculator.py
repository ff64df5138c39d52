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

from espalier.core.messages import Message, ToolCall, ToolSpec
from espalier.envs.api import Env, Task
from espalier.envs.arithmetic import evaluate
from espalier.envs.catalogue.slips import slipped
from espalier.envs.procedural import Procedural, TaskConfig, final
from espalier.envs.tools.box import ToolBox
from espalier.envs.tools.env import ToolEnv

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
        return ToolEnv(self.name, TOOLS, opening, judge, calls=self.config.calls)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return TOOLS.specs

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`."""
        messages = opening(task)
        if rng.random() < self.config.direct:
            return [*messages, Message.assistant(f"#{slipped(int(task.answer), 0.9, rng)}")]
        for number, step in enumerate(operations(task.data["expression"])):
            call = ToolCall("calculate", {"expression": step}, id=f"call_{number}")
            messages += [Message.assistant("", tool_calls=(call,)), Message.tool(worked(step), call.id)]
        return [*messages, Message.assistant(f"#{task.answer}")]


def opening(task: Task) -> list[Message]:
    """The expression."""
    return [Message.user(f"{task.data['expression']}=")]


def judge(task: Task, said: str) -> float:
    """1.0 for `#` and the right value."""
    return float(final(said) == task.answer)


async def calculate(expression: str) -> str:
    """One operation on two whole numbers, such as 12*34."""
    if (result := worked(expression)) == "error":
        raise ValueError(expression)
    return result


TOOLS = ToolBox([calculate], explain=False)


def worked(expression: str) -> str:
    """The result of one operation; `error` for anything else."""
    found = _CALL.fullmatch(expression)
    if found is None:
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
