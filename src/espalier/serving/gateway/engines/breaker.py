"""The circuit breaker: an instance that keeps failing is left alone. Pure; the caller says what time it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Opens after `failures` in a row, or at once for a failure that is `final`. While open, one trial every `retry`
    seconds; a trial that succeeds closes it.
    """

    failures: int = 3
    retry: float = 5.0
    open: bool = False
    _bad: int = 0
    _next: float = 0.0

    def succeeded(self) -> None:
        """Something worked: the breaker is closed."""
        self.open, self._bad = False, 0

    def failed(self, now: float, *, final: bool = False) -> bool:
        """Something did not work. Whether that opened the breaker."""
        self._bad += 1
        self._next = now + self.retry
        if self.open or not (final or self._bad >= self.failures):
            return False
        self.open = True
        return True

    def may_try(self, now: float) -> bool:
        """Whether a trial is due."""
        if not self.open or now < self._next:
            return False
        self._next = now + self.retry
        return True
