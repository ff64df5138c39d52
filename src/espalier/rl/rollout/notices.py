"""Messages to the user about failed tasks during a run."""

from __future__ import annotations

from collections.abc import Callable

from espalier.envs.api import Task

MOST = 10
"""Largest number of messages that are printed; later failures are only counted."""


class Notices:
    """Prints each message once, and at most `MOST` messages."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()

    def once(self, text: str) -> None:
        """Print `text` unless it was already printed."""
        if text in self._said or len(self._said) > MOST:
            return
        self._said.add(text)
        full = len(self._said) > MOST
        self._say("further tasks that fail are counted, not shown" if full else f"warning: {text}")


def failed(task: Task, error: Exception) -> str:
    """The message about a task that cannot be run: its location, and what is wrong with it."""
    return f"{task.source or f'{task.env}, task {task.key}'}: {error}; the task counts as failed"
