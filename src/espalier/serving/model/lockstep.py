"""The lock-step model of prefill: ranks enter every pass together, chunk by chunk.

The simulator runs it, the fake engine acts it out, and the gateway keeps one beside each real engine to infer what that
is doing.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from espalier.serving.core.types import Report, Request
from espalier.serving.model.steptime import PrefillTime


class Pass(NamedTuple):
    """A forward pass: its seconds, the most tokens of a rank, the sum over ranks, requests that began in it, and those
    whose prefill it completes.
    """

    duration: float
    largest: int
    tokens: int
    begun: list[Request]
    done: list[Request]


class PrefillEngine:
    """Ranks take up to a chunk each from the heads of their queues; a pass lasts as long as its slowest rank.

    slow: factor on durations.
    """

    def __init__(self, ranks: int, time: PrefillTime, slow: float = 1.0) -> None:
        self.time, self.slow = time, slow
        self.queues: list[deque[Request]] = [deque() for _ in range(ranks)]
        self.left: list[deque[int]] = [deque() for _ in range(ranks)]
        self.backlog = [0] * ranks
        self.started = [False] * ranks
        self.seen = 0
        self.working: Pass | None = None

    def receive(self, request: Request, rank: int, cost: int) -> None:
        """Queue a request that really costs `cost` tokens. It runs in the next pass at the earliest."""
        self.seen += 1
        self.queues[rank].append(request)
        self.left[rank].append(cost)
        self.backlog[rank] += cost

    def start(self) -> Pass | None:
        """Begin the next pass, None where there is nothing to do."""
        time, chunk = self.time, self.time.chunk
        weigh = time.per_attended > 0.0
        largest = total = 0
        attended = 0.0
        begun: list[Request] = []
        done: list[Request] = []
        for rank, tokens in enumerate(self.backlog):
            if not tokens:
                continue
            taken = tokens if tokens < chunk else chunk
            self.backlog[rank] = tokens - taken
            if taken > largest:
                largest = taken
            total += taken
            work = self._take(rank, taken, begun, done, weigh)
            if work > attended:
                attended = work
        if not total:
            return None
        self.working = Pass(self.slow * time.seconds(largest, attended), largest, total, begun, done)
        return self.working

    def _take(self, rank: int, room: int, begun: list[Request], done: list[Request], weigh: bool) -> float:
        queue, left = self.queues[rank], self.left[rank]
        attended = 0.0
        while room:
            request, tokens = queue[0], left[0]
            if self.started[rank]:
                self.started[rank] = False
            else:
                begun.append(request)
            if tokens > room:
                left[0] = tokens - room
                self.started[rank] = True
                if weigh:
                    attended += room * (request.prompt - tokens + room / 2)
                break
            room -= tokens
            if weigh:
                attended += tokens * (request.prompt - tokens / 2)
            queue.popleft()
            left.popleft()
            done.append(request)
        return attended

    def finish(self) -> Pass:
        """The pass has ended."""
        ended = self.working
        assert ended is not None
        self.working = None
        return ended

    def report(self, ended: Pass | None) -> Report:
        """What the engine says when `ended` is over, before or after the next pass begins."""
        running = [int(started) for started in self.started]
        waiting = [len(queue) - part for queue, part in zip(self.queues, running, strict=True)]
        begun = 0 if self.working is None else self.working.largest
        busy = begun > 0 or any(self.backlog)
        duration, largest = (None, 0) if ended is None else (ended.duration, ended.largest)
        return Report(self.seen, tuple(self.backlog), waiting, running, busy, duration, largest, begun)

    def kill(self) -> list[Request]:
        """Lose everything; returns the requests that were queued or in progress."""
        lost = [request for queue in self.queues for request in queue] + (self.working.done if self.working else [])
        for rank in range(len(self.queues)):
            self.queues[rank].clear()
            self.left[rank].clear()
        self.backlog = [0] * len(self.queues)
        self.started = [False] * len(self.queues)
        self.working = None
        return lost
