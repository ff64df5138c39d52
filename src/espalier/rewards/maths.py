"""Mathematical equivalence by math-verify, in a process of its own.

math-verify limits its time with signals, which work in a main thread only, and sympy can still get lost. So one worker
process does the work, for one answer at a time under a deadline; a worker that misses it is killed and replaced.
"""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
import threading
import weakref
from importlib.util import find_spec
from typing import Literal

from pydantic import PositiveFloat

from espalier.core.errors import EnvError, MissingExtraError
from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig, reference

START_SECONDS = 120.0
"""Longest wait for a worker to be ready: it imports sympy."""
LONGEST = 10_000
"""Characters of a response, from its end, that are looked at."""

Worker = subprocess.Popen[str]


class MathsConfig(ComponentConfig):
    """1 where the final answer is mathematically equal to the reference, LaTeX or plain."""

    kind: Literal["maths"] = "maths"
    """The reward."""
    seconds: PositiveFloat = 10.0
    """Longest verification; an answer that takes longer is wrong."""


class Maths:
    """The reward. Safe to call from many tasks, threads and event loops at once; the loop is never blocked."""

    def __init__(self, config: MathsConfig) -> None:
        if find_spec("math_verify") is None:
            raise MissingExtraError("math-verify", "rl")
        self._seconds = config.seconds
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    async def __call__(self, episode: Episode) -> float:
        """1.0 or 0.0. Raises EnvError where the worker cannot be started."""
        question = {"reference": reference(episode, "maths"), "response": episode.response[-LONGEST:]}
        return await asyncio.to_thread(self._verify, json.dumps(question))

    def close(self) -> None:
        """Stop the worker; the next call starts another."""
        with self._lock:
            self._stop()

    def _verify(self, question: str) -> float:
        with self._lock:
            answer = self._ask(self._ready(), question)
            if answer is None:
                self._stop()
                return 0.0
            return float(answer == "right")

    def _ask(self, worker: Worker, question: str) -> str | None:
        """The worker's word, None where it misses the deadline or dies."""
        assert worker.stdin is not None
        try:
            worker.stdin.write(question + "\n")
            worker.stdin.flush()
        except BrokenPipeError:
            return None
        return _line(worker, self._seconds)

    def _ready(self) -> Worker:
        if self._worker is None or self._worker.poll() is not None:
            self._stop()
            self._worker = worker = subprocess.Popen(
                [sys.executable, "-m", "espalier.rewards.maths_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                bufsize=1,
            )
            weakref.finalize(self, worker.kill)
            if _line(worker, START_SECONDS) != "ready":
                self._stop()
                raise EnvError(f"the worker of the maths reward did not start within {START_SECONDS:g} s")
        return self._worker

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None


def _line(worker: Worker, seconds: float) -> str | None:
    """The worker's next line, None where it does not come in time."""
    assert worker.stdout is not None
    readable, _, _ = select.select([worker.stdout], [], [], seconds)
    return worker.stdout.readline().strip() or None if readable else None
