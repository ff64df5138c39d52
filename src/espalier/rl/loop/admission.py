"""Decides whether another group may start: a state machine without a clock.

Invariant: `running + accepted <= (version + max_lag + 1) * groups_per_step + extra`. No group therefore starts for a
step more than `max_lag` versions ahead. When a group is filtered, fails or is dropped, another can start instead.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Admission:
    """Counts groups.

    total: groups that the whole run needs; 0 means no end. accepted: groups trained, or waiting to be. extra: groups
    that may start beyond those of the step, and of which as many will be rejected.
    """

    groups_per_step: int
    max_lag: int = 0
    total: int = 0
    version: int = 0
    running: int = 0
    accepted: int = 0
    extra: int = 0

    def may_start(self) -> bool:
        """Whether one more group may start now."""
        return self.running + self.accepted < self.window

    @property
    def window(self) -> int:
        """Largest number of groups, running and accepted together, at this version."""
        window = (self.version + self.max_lag + 1) * self.groups_per_step
        return (min(window, self.total) if self.total else window) + self.extra

    @property
    def missing(self) -> int:
        """Groups that the step being collected still needs."""
        return (self.version + 1) * self.groups_per_step - self.accepted

    @property
    def full(self) -> bool:
        """Whether the next group may start only after the next training step."""
        return not self.may_start() and (not self.total or self.running + self.accepted < self.total)

    def start(self) -> None:
        """Count one more running group."""
        if not self.may_start():
            raise RuntimeError("a group was started beyond the admission window")
        self.running += 1

    def accept(self) -> None:
        """A running group finished and is used for a step."""
        self._stop()
        self.accepted += 1

    def reject(self) -> None:
        """A running group was filtered or failed; another can start."""
        self._stop()

    def drop(self) -> None:
        """An accepted group became too old to be trained; another can start."""
        if self.accepted == 0:
            raise RuntimeError("a group was dropped that was never accepted")
        self.accepted -= 1

    def advance(self) -> None:
        """A training step is done."""
        self.version += 1

    def _stop(self) -> None:
        if self.running == 0:
            raise RuntimeError("a group ended that never started")
        self.running -= 1
