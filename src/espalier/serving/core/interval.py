"""How long to hold: batches start evenly spaced, one interval apart, over all instances together."""

from __future__ import annotations


class Interval:
    """I = T / N, of the mean duration T of a forward pass and the number N of instances that accept work.

    An instance that starts T / N after the one before is ready again just when its turn comes. T is an exponential mean
    (weight 0.2: ours); I stays below `limit` seconds. Source: Staggered Batch Scheduling, adaptive interval; the form
    is inferred from the paper's waiting time T / (2 N).
    """

    def __init__(self, *, weight: float = 0.2, limit: float = float("inf"), scale: float = 1.0) -> None:
        self.weight, self.limit, self.scale = weight, limit, scale
        self.duration = 0.0

    def hear(self, duration: float) -> None:
        """A pass took so many seconds."""
        self.duration += (duration - self.duration) * (self.weight if self.duration else 1.0)

    def seconds(self, ready: int) -> float:
        """Between two batches; 0 until the first pass has ended."""
        return min(self.scale * self.duration / max(ready, 1), self.limit)
