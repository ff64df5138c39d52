"""Messages on their way: delay, loss and range. No clock: the caller says what time it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.config import CommsConfig
from espalier.robots.swarm.traj.trajectory import Trajectory

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Message:
    """What a vehicle says: who it is, when it said so (seconds), and how it means to fly."""

    sender: int
    sent_s: float
    trajectory: Trajectory


@dataclass
class Channel:
    """Between `n` vehicles. sent, delivered: messages so far, a receiver each counted for the second."""

    n: int
    config: CommsConfig
    rng: np.random.Generator
    sent: int = 0
    delivered: int = 0
    _way: list[tuple[float, int, Message, npt.NDArray[np.bool_]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self._latest = np.full((self.n, self.n), None, object)

    def send(self, message: Message, now_s: float, positions: Floats) -> None:
        """To all that are not out of range; positions: (n, 3) of all now."""
        config = self.config
        gets = self.rng.random(self.n) >= config.loss
        gets[message.sender] = False
        if config.range_m is not None:
            gets &= np.linalg.norm(positions - positions[message.sender], axis=1) <= config.range_m
        arrives = now_s + config.delay_s + config.jitter_s * float(self.rng.random())
        heappush(self._way, (arrives, next(self._order), message, gets))
        self.sent += 1

    def inbox(self, receiver: int, now_s: float) -> dict[int, Message]:
        """The newest message of each other vehicle that has come by now."""
        while self._way and self._way[0][0] <= now_s:
            _, _, message, gets = heappop(self._way)
            self.delivered += int(gets.sum())
            for one in np.flatnonzero(gets):
                before = self._latest[one, message.sender]
                if before is None or before.sent_s <= message.sent_s:
                    self._latest[one, message.sender] = message
        return {message.sender: message for message in self._latest[receiver] if message is not None}
