"""What failed tasks say to the user while a run goes on."""

from __future__ import annotations

from collections.abc import Callable

from espalier.envs.api import Task

MOST = 10
"""Messages that are said; later ones are only counted by whoever failed."""


class Notices:
    """Says each message once, and no more than `MOST` of them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()

    def once(self, text: str) -> None:
        """Say `text` unless it was said before."""
        if text in self._said or len(self._said) > MOST:
            return
        self._said.add(text)
        full = len(self._said) > MOST
        self._say("further tasks that fail are counted, not shown" if full else f"warning: {text}")


def failed(task: Task, error: Exception) -> str:
    """The message about a task that cannot be played: where it stands, and what is wrong with it."""
    return f"{task.source or f'{task.env}, task {task.key}'}: {error}; the task counts as failed"
