"""Mathematical equivalence by math-verify, in worker processes.

math-verify limits its time with signals, which work in a main thread only, and sympy can still get lost. So workers do
the work, each for one answer at a time under a deadline; one that misses it is killed and replaced.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any, Literal

from pydantic import PositiveFloat, PositiveInt

from espalier.core.errors import MissingExtraError
from espalier.envs.api import Episode
from espalier.envs.boxes import final_answer
from espalier.envs.workers.pool import Pool, usual_size
from espalier.envs.workers.process import CallError, OverrunError
from espalier.rewards.component import ComponentConfig, reference

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

    kind: Literal["maths"] = "maths"
    """The reward."""
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
        self._hard = Pool(_equivalence, size=config.workers or usual_size())
        self._plain = Pool(_equivalence, size=1)
        self._verdicts: dict[tuple[str, str], float] = {}

    async def __call__(self, episode: Episode) -> float:
        """1.0 or 0.0. Raises EnvError where no worker can be started."""
        question = (reference(episode, "maths"), final_answer(episode.response[-LONGEST:]))
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

    async def _verify(self, expected: str, answer: str) -> float:
        pool = self._plain if len(answer) <= SHORT and not _MAY_TAKE_LONG.search(answer) else self._hard
        try:
            return float(await pool.ask("right", expected, answer, seconds=self._seconds))
        except (CallError, OverrunError):  # whatever a model wrote that sympy cannot bear is not the answer
            return 0.0


def _equivalence() -> Any:
    from espalier.rewards.mathematics.equivalence import Equivalence  # in a worker only: it imports sympy

    return Equivalence()
