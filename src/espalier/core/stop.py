"""Stopping cleanly: the first Ctrl-C (or SIGTERM) asks, the second insists."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from espalier.core import torchrun

AGAIN_S = 2.0
"""torchrun passes Ctrl-C on to processes that the terminal has told already: that soon, a second signal is the same."""
ASKED = "stopping after this step with a checkpoint; Ctrl-C again stops at once"


def _tell(text: str) -> None:
    # A signal may arrive in the middle of a buffered print, which must not be re-entered.
    with contextlib.suppress(OSError):  # the terminal has gone
        os.write(2, f"\n{text}\n".encode())


class Stop:
    """`requested` turns true at the first SIGINT or SIGTERM; the second raises KeyboardInterrupt.

    Signals are caught inside `with stop:` (in the main thread; elsewhere Python cannot catch them). A job looks at
    `requested` after each step, writes its checkpoint and returns. `tell` shows the user that he was heard.
    """

    def __init__(self) -> None:
        self.requested = False
        self._when = 0.0
        self.tell: Callable[[str], None] = _tell
        self._previous: dict[int, signal._HANDLER] = {}

    def request(self) -> None:
        """Ask the job to stop after its step."""
        self.requested = True

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._caught)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            if torchrun.size() > 1 and time.monotonic() - self._when < AGAIN_S:
                return
            raise KeyboardInterrupt
        self.requested, self._when = True, time.monotonic()
        self.tell(ASKED)
