"""The circuit breaker: an instance that keeps failing gets no requests. Pure; the caller passes in the time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Opens after `failures` consecutive failures, or immediately after a `final` failure. While it is open, one trial
    is allowed every `retry` seconds. A successful trial closes it.
    """

    failures: int = 3
    retry: float = 5.0
    open: bool = False
    _bad: int = 0
    _next: float = 0.0

    def succeeded(self) -> None:
        """Record a success: the breaker closes."""
        self.open, self._bad = False, 0

    def failed(self, now: float, *, final: bool = False) -> bool:
        """Record a failure. Returns whether it opened the breaker."""
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
