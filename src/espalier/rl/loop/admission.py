"""Limits the number of groups in flight: a state machine without a clock.

Invariant: `running + accepted <= (version + max_lag + 1) * groups_per_step`. No group therefore starts for a step more
than `max_lag` versions ahead. When a group is filtered or fails, another can start instead.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Admission:
    """Counts groups. `in_flight` is the largest number of groups that run at a time; 0 means no limit beyond the
    window.
    """

    groups_per_step: int
    max_lag: int = 0
    in_flight: int = 0
    version: int = 0
    running: int = 0
    accepted: int = 0

    def may_start(self) -> bool:
        """Whether one more group may start now."""
        window = (self.version + self.max_lag + 1) * self.groups_per_step
        free = not self.in_flight or self.running < self.in_flight
        return free and self.running + self.accepted < window

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

    def advance(self) -> None:
        """A training step is done."""
        self.version += 1

    def _stop(self) -> None:
        if self.running == 0:
            raise RuntimeError("a group ended that never started")
        self.running -= 1

    def save(self) -> dict[str, int]:
        """Counters for a checkpoint. Running groups are not counted: they are issued again on resume."""
        return {**asdict(self), "running": 0}
