"""The conversations whose rows are kept, by name and by number."""

from __future__ import annotations

from itertools import count


class Sessions:
    """Numbers names from 1. 0 is no session."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._next = count(1)

    def number(self, name: str) -> int:
        """Of a session, which begins if it is new; 0 for an empty name."""
        if not name:
            return 0
        if name not in self._numbers:
            self._numbers[name] = next(self._next)
        return self._numbers[name]

    def end(self, name: str) -> int:
        """Forget a session. Returns its number, 0 if there was none."""
        return self._numbers.pop(name, 0)
