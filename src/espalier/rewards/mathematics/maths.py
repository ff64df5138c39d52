"""Mathematical equivalence by math-verify, in worker processes.

math-verify limits its time with signals, which work in a main thread only, and sympy can still get lost. So workers do
the work, each for one answer at a time under a deadline; one that misses it is killed and replaced.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from espalier.core.errors import MissingExtraError
from espalier.envs.api import Episode
from espalier.envs.boxes import final_answer
from espalier.envs.workers.pool import Pool, usual_size
from espalier.envs.workers.process import CallError, OverrunError
from espalier.rewards.component import ComponentConfig, reference
from espalier.rewards.domains.marked import VerifierConfig, said

LONGEST = 10_000
"""Characters of a response, from its end, that are looked at."""
SHORT = 200
"""Characters of a plain answer at most."""
_MAY_TAKE_LONG = re.compile(r"[\^!]|\*\*|\\(?!boxed|[dt]?frac|text|sqrt|pi|infty|cup|left|right|circ|pm)[A-Za-z]")
"""Powers, factorials, sums and the like: no plain answer waits for them."""
REMEMBERED = 10_000
"""Verdicts that are kept: a policy says the same again and again."""


class MathsConfig(ComponentConfig):
    """1 where the final answer is mathematically equal to the reference, LaTeX or plain."""

    later: ClassVar[frozenset[str]] = ComponentConfig.later | {"tolerance", "unmarked"}

    kind: Literal["maths"] = "maths"
    """The reward."""
    unmarked: Literal["whole", "wrong"] = "whole"
    r"""A response without a `\boxed{}` is read as a whole, or is wrong. With `wrong`, other marks count as well, and a
    response must have ended by itself: the rule of `chart`, `count` and the like."""
    tolerance: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Numbers that differ by this share of the reference at most are right as well. At 0 a decimal may stand for what
    has none, with six decimals. GLM-4.1V-Thinking: 1e-5 in the paper, 1e-6 in the released code."""
    seconds: PositiveFloat = 5.0
    """Longest verification; an answer that takes longer is wrong."""
    workers: PositiveInt | None = None
    """Processes that verify what may take long; one a core, from two to four, unless given. Plain answers
    have another."""


class Maths:
    """The reward. Safe to call from many tasks, threads and event loops at once; the loop is never blocked."""

    def __init__(self, config: MathsConfig) -> None:
        if find_spec("math_verify") is None:
            raise MissingExtraError("math-verify", "rl")
        self._seconds = config.seconds
        self._tolerance = config.tolerance
        self._marked = VerifierConfig() if config.unmarked == "wrong" else None
        self._hard = Pool(_equivalence, size=config.workers or usual_size())
        self._plain = Pool(_equivalence, size=1)
        self._verdicts: dict[tuple[str, str], float] = {}

    async def __call__(self, episode: Episode) -> float:
        """1.0 or 0.0. Raises EnvError where no worker can be started."""
        expected, answer = reference(episode, "maths"), self._answer(episode)
        if answer is None:
            return 0.0
        question = (expected, answer)
        if question not in self._verdicts:
            verdict = await self._verify(*question)
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            self._verdicts[question] = verdict
        return self._verdicts[question]

    def close(self) -> None:
        """Stop the workers; the next call starts others."""
        self._hard.close()
        self._plain.close()

    def _answer(self, episode: Episode) -> str | None:
        if self._marked is None:
            return final_answer(episode.response[-LONGEST:])
        answer = said(self._marked, episode)
        return None if answer is None or len(answer) > LONGEST else f"\\boxed{{{answer}}}"

    async def _verify(self, expected: str, answer: str) -> float:
        pool = self._plain if len(answer) <= SHORT and not _MAY_TAKE_LONG.search(answer) else self._hard
        try:
            return float(await pool.ask("right", expected, answer, self._tolerance, seconds=self._seconds))
        except (CallError, OverrunError):  # whatever a model wrote that sympy cannot bear is not the answer
            return 0.0


def _equivalence() -> Any:
    from espalier.rewards.mathematics.equivalence import Equivalence  # in a worker only: it imports sympy

    return Equivalence()
