"""The event loop: arrivals, ends of passes, late reports, and the times a scheduler asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Literal

from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.types import Decision, Report, Request
from espalier.serving.model.lockstep import Pass, PrefillEngine

NEVER = float("inf")


@dataclass(slots=True)
class Log:
    """What happened to each request, by its number: seconds, and what became of it.

    placed: when it left the scheduler. begun: when its first pass began. first: when its prefill ended, which is its
    first token. where: instance and rank. why: the reason. actual: tokens that each prompt really has, where requests
    only hold an estimate.
    """

    requests: Sequence[Request]
    actual: Sequence[int] | None = None
    placed: list[float] = field(init=False)
    begun: list[float] = field(init=False)
    first: list[float] = field(init=False)
    where: list[tuple[int, int]] = field(init=False)
    why: list[str] = field(init=False)
    passes: list[tuple[float, int, float, int, int]] = field(default_factory=list)
    """Start, instance, seconds, most tokens of a rank, tokens of all."""

    @property
    def prompt(self) -> list[int]:
        """(n,) tokens of the prompts, as they are."""
        return [request.prompt for request in self.requests] if self.actual is None else list(self.actual)

    @property
    def reasons(self) -> dict[str, int]:
        """How many were placed for each reason, the last time that they were."""
        return dict(Counter(self.why))

    def __post_init__(self) -> None:
        n = len(self.requests)
        self.placed, self.begun, self.first = [NEVER] * n, [NEVER] * n, [NEVER] * n
        self.where, self.why = [(-1, -1)] * n, [""] * n


@dataclass(frozen=True, slots=True)
class Fault:
    """At `time` an instance dies, comes back, or works `slow` times as long as usual.

    With it dies what it had, what its last reports had to say, and whatever it is sent from then on. The scheduler
    notices `notice` seconds later, or when the instance is back if that is sooner: then all that was lost comes to it
    anew. The dead do not die again, and nobody is back who was not away.
    """

    time: float
    instance: int
    kind: Literal["dead", "back", "slow"]
    slow: float = 1.0
    notice: float = 2.0


class Simulation:
    """Runs `requests` (in order of arrival, numbered from 0) through a scheduler and engines.

    actual: (n,) tokens that each prompt really has, where the scheduler only has an estimate. cache: what prefixes the
    ranks really hold, None for none. stale: seconds from the end of a pass to the scheduler's hearing of it. noise: a
    factor on the duration of each pass.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        engines: Sequence[PrefillEngine],
        requests: Sequence[Request],
        *,
        actual: Sequence[int] | None = None,
        cache: PrefixIndex | None = None,
        stale: float = 0.0,
        faults: Sequence[Fault] = (),
        noise: Callable[[], float] | None = None,
    ) -> None:
        self.scheduler, self.engines = scheduler, list(engines)
        self.log = Log(requests, actual)
        self.actual, self.cache, self.stale, self.noise = actual, cache, stale, noise
        self._order = count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._ends = [NEVER] * len(self.engines)
        self._began = [0.0] * len(self.engines)
        self._dead = [False] * len(self.engines)
        self._deaths = [0] * len(self.engines)
        self._lost: dict[int, list[Request]] = {}
        for fault in faults:
            self._at(fault.time, partial(self._fault, fault))

    def run(self) -> Log:
        """To the end of the last request."""
        requests = self.log.requests
        scheduler, events, ends = self.scheduler, self._events, self._ends
        place, total = 0, len(requests)
        wake: float | None = None
        arrival = requests[0].arrival if total else NEVER
        while True:
            ended = min(ends)
            event = events[0][0] if events else NEVER
            now = min(arrival, ended, event, NEVER if wake is None else wake)
            if now == NEVER:
                return self.log
            if now == ended:
                self._end(ends.index(ended), now)
            elif now == event:
                heappop(events)[2](now)
            else:
                while arrival <= now:
                    scheduler.on_arrival(requests[place], now)
                    place += 1
                    arrival = requests[place].arrival if place < total else NEVER
            decisions, wake = scheduler.poll(now)
            if decisions:
                self._send(decisions, now)

    def _send(self, decisions: list[Decision], now: float) -> None:
        log, engines = self.log, self.engines
        plain = self.actual is None and self.cache is None
        touched = set()
        for decision in decisions:
            request, instance, rank, cost, reason = decision
            log.placed[request.id] = now
            log.where[request.id], log.why[request.id] = (instance, rank), reason
            if plain or self._dead[instance]:
                engines[instance].receive(request, rank, cost)
            else:
                engines[instance].receive(request, rank, self._really(request, instance, rank))
            touched.add(instance)
        for instance in touched:
            if engines[instance].working is None and not self._dead[instance]:
                self._start(instance, now)

    def _start(self, instance: int, now: float) -> None:
        begun = self.engines[instance].start()
        if begun is None:
            return
        seconds = begun.duration * (self.noise() if self.noise else 1.0)
        self._ends[instance], self._began[instance] = now + seconds, now
        for request in begun.begun:
            self.log.begun[request.id] = now

    def _end(self, instance: int, now: float) -> None:
        engine, log = self.engines[instance], self.log
        ended = engine.finish()
        self._ends[instance] = NEVER
        for request in ended.done:
            log.first[request.id] = now
        seconds = now - self._began[instance]
        log.passes.append((self._began[instance], instance, seconds, ended.largest, ended.tokens))
        self._tell(instance, ended._replace(duration=seconds), now)

    def _tell(self, instance: int, ended: Pass, now: float) -> None:
        """Report; the scheduler may refill before the next pass begins, unless the report comes late."""
        engine = self.engines[instance]
        if self.stale:
            self._start(instance, now)
            self._at(now + self.stale, partial(self._hear, instance, self._deaths[instance], engine.report(ended)))
            return
        self.scheduler.on_report(instance, engine.report(ended), now)
        decisions, _ = self.scheduler.poll(now)
        self._send(decisions, now)
        if engine.working is None:
            self._start(instance, now)

    def _really(self, request: Request, instance: int, rank: int) -> int:
        """Tokens that the rank has to compute, at least 1."""
        tokens = request.prompt if self.actual is None else self.actual[request.id]
        if self.cache is None or not request.blocks:
            return tokens
        hit = self.cache.hits(request).get((instance, rank), 0)
        self.cache.add(request, instance, rank)
        return max(tokens - hit, 1)

    def _hear(self, instance: int, deaths: int, report: Report, now: float) -> None:
        """A late report, unless the instance has died since."""
        if deaths == self._deaths[instance]:
            self.scheduler.on_report(instance, report, now)

    def _fault(self, fault: Fault, now: float) -> None:
        instance = fault.instance
        match fault.kind:
            case "slow":
                self.engines[instance].slow = fault.slow
            case "dead" if not self._dead[instance]:
                self._dead[instance], self._ends[instance] = True, NEVER
                self._deaths[instance] += 1
                self._lost[instance] = self.engines[instance].kill()
                self._at(now + fault.notice, partial(self._notice, instance, self._deaths[instance]))
            case "back" if self._dead[instance]:
                self._notice(instance, self._deaths[instance], now)
                self._dead[instance] = False
                self.scheduler.on_back(instance, now)

    def _notice(self, instance: int, deaths: int, now: float) -> None:
        """The scheduler learns of the death, unless it knows."""
        if deaths != self._deaths[instance] or instance not in self._lost:
            return
        if self.cache is not None:
            self.cache.forget(instance)
        self.scheduler.on_lost(instance, now)
        for request in self._lost.pop(instance) + self.engines[instance].kill():
            self.scheduler.on_arrival(request, now)

    def _at(self, time: float, what: Callable[[float], None]) -> None:
        heappush(self._events, (time, next(self._order), what))
