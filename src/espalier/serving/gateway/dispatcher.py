"""The scheduler on an event loop: requests wait here for their turn, and engines are watched."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any

from espalier.core.errors import EngineError
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.safety import Guarded, Valve
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.staggered import Staggered
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Decision, Reason, Report, Request
from espalier.serving.gateway.breaker import Breaker
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.mirror import Mirror
from espalier.serving.gateway.shadow import Shadow
from espalier.serving.sim.scenario import make_scheduler

HOLDING = ("sbs", "sbs_whole", "pull")
RECENT = 1000
"""Batches and reports that the measures average over."""


class OverloadedError(EngineError):
    """The buffer is full, or a request waited too long. retry_after: seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, retryable=True)
        self.retry_after = retry_after


@dataclass(slots=True, eq=False)
class Ticket:
    """A request on its way.

    decision: set once it is placed. batch: the name and size of what it was sent with. held: seconds until then.
    """

    request: Request
    placed: asyncio.Future[Decision]
    decision: Decision | None = None
    batch: str = "0/1"
    held: float = 0.0
    answered: bool = False
    tried: set[int] = field(default_factory=set)


class Dispatcher:
    """Owns the scheduler, a mirror and a breaker for each instance. All methods run on the loop's thread."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.pool = Pool.of([target.ranks for target in config.targets], config.prefill.chunk)
        self.valve = Valve(margin=config.valve_margin)
        inner = make_scheduler(config.scheduler, self.pool)
        self.scheduler: Scheduler = inner
        self.interval = inner.interval if isinstance(inner, Staggered) else None
        self.shadow: Shadow | None = None
        if config.scheduler.policy in HOLDING:
            self.scheduler = Guarded(inner, self.valve)
            self.shadow = self._shadow()
        self.prefix: PrefixIndex | None = inner.prefix
        self.mirrors = [Mirror(target.ranks, config.prefill) for target in config.targets]
        self.breakers = [Breaker(config.failures, config.retry_seconds) for _ in config.targets]
        self.drained: set[int] = set()
        self.tells = [target.kind == "events" for target in config.targets]
        self.tickets: dict[int, Ticket] = {}
        self.decisions: Counter[str] = Counter()
        self.fills: deque[float] = deque(maxlen=RECENT)
        self.drifts: deque[float] = deque(maxlen=RECENT)
        self._held_tokens = 0
        self._numbers, self._batches = count(), count()
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, tokens: int, *, priority: int = 0, blocks: tuple[int, ...] = ()) -> Ticket:
        """Queue a prompt. Raises OverloadedError where the buffer is full."""
        config = self.config
        held = self.scheduler.held
        if held >= config.buffer_requests or (held and self._held_tokens + tokens > config.buffer_tokens):
            raise OverloadedError(
                f"{held} requests of {self._held_tokens} tokens are held already", self.drain_seconds()
            )
        now = monotonic()
        request = Request(next(self._numbers), now, tokens, blocks=blocks, priority=priority)
        ticket = Ticket(request, asyncio.get_running_loop().create_future())
        self.tickets[request.id] = ticket
        self._held_tokens += tokens
        self.scheduler.on_arrival(request, now)
        if self.shadow is not None:
            self.shadow.arrived(request, now)
        self.kick()
        return ticket

    def again(self, ticket: Ticket) -> Decision:
        """Another place for a request that failed before its first byte: the emptiest rank not tried yet.

        Raises EngineError where no other instance is ready.
        """
        assert ticket.decision is not None
        self.mirrors[ticket.decision.instance].forget(ticket.request)
        ready = [number for number in self.pool.ready if number not in ticket.tried]
        if not ready:
            raise EngineError("no other engine is ready", retryable=True)
        backlog = {number: self.pool.instances[number].backlog for number in ready}
        number = min(ready, key=lambda one: backlog[one].least())
        rank = backlog[number].values.index(backlog[number].least())
        decision = Decision(ticket.request, number, rank, ticket.request.prompt, Reason.FALLBACK)
        ticket.batch = f"{next(self._batches)}/1"
        self._send(ticket, self.scheduler.place(decision))
        self.mirrors[number].begin(monotonic())
        return decision

    def first_byte(self, ticket: Ticket) -> None:
        """The engine answered."""
        decision, now = ticket.decision, monotonic()
        assert decision is not None
        ticket.answered = True
        self.breakers[decision.instance].succeeded()
        if self.shadow is not None:
            self.shadow.answered(ticket.request, now)
        for report in self.mirrors[decision.instance].first_byte(ticket.request, now):
            self._report(decision.instance, report, now)
        self.kick()

    def release(self, ticket: Ticket) -> None:
        """The request is over, whichever way: answered, failed, or left by its client."""
        self.tickets.pop(ticket.request.id, None)
        now = monotonic()
        if ticket.decision is None:
            self._held_tokens -= ticket.request.prompt
            self.scheduler.on_cancel(ticket.request, now)
        elif not ticket.answered:
            self.mirrors[ticket.decision.instance].forget(ticket.request)
        if self.shadow is not None and not ticket.answered:
            self.shadow.forget(ticket.request)
        ticket.placed.cancel()
        self.kick()

    def failed(self, instance: int, *, final: bool = False) -> None:
        """The instance did not do as it should. final: nobody listens there."""
        now = monotonic()
        if self.breakers[instance].failed(now, final=final):
            self.lose(instance)

    def lose(self, instance: int) -> None:
        """Take an instance out: its requests fail by themselves, what is held goes elsewhere."""
        self._out(instance)
        self.mirrors[instance].clear()
        self.kick()

    def revive(self, instance: int) -> None:
        """Take an instance in again."""
        if instance not in self.drained and not self.pool.instances[instance].alive:
            now = monotonic()
            self.scheduler.on_back(instance, now)
            if self.shadow is not None:
                self.shadow.back(instance, now)
            self.kick()

    def drain(self, instance: int, out: bool) -> None:
        """Send nothing more to an instance, or again."""
        if out:
            self.drained.add(instance)
            self._out(instance)
        else:
            self.drained.discard(instance)
            if not self.breakers[instance].open:
                self.revive(instance)
        self.kick()

    def hear(self, instance: int, report: Report) -> None:
        """An engine that tells of its passes did."""
        if self.pool.instances[instance].alive:
            now = monotonic()
            self.mirrors[instance].heard = now
            self.drifts.append(abs(sum(report.backlog) - sum(self.mirrors[instance].engine.backlog)))
            self._tell(instance, report, now)
            self.kick()

    def kick(self) -> None:
        """Ask the scheduler, hand out what it decides, and set the clock for the next time."""
        now = monotonic()
        for number, mirror in enumerate(self.mirrors):
            for report in mirror.tick(now):
                self._report(number, report, now)
        decisions, wake = self.scheduler.poll(now)
        batches = Counter(decision.instance for decision in decisions)
        names = {number: f"{next(self._batches)}/{size}" for number, size in batches.items()}
        for decision in decisions:
            ticket = self.tickets.get(decision.request.id)
            if ticket is not None:
                self._held_tokens -= ticket.request.prompt
                ticket.batch = names[decision.instance]
                self._send(ticket, decision)
                if not ticket.placed.done():
                    ticket.placed.set_result(decision)
        for number in batches:
            self.mirrors[number].begin(now)
            tokens = sum(decision.cost for decision in decisions if decision.instance == number)
            self.fills.append(tokens / (self.pool.instances[number].ranks * self.config.prefill.chunk))
        times = [end for mirror in self.mirrors if (end := mirror.silent_end()) is not None]
        times += [wake] if wake is not None else []
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if times:
            self._timer = asyncio.get_running_loop().call_later(max(min(times) - now, 0.0), self.kick)

    def suspects(self) -> list[int]:
        """Watchdog: instances that have owed a first byte for too long."""
        now, found = monotonic(), []
        for number, mirror in enumerate(self.mirrors):
            since = mirror.owes_since()
            working = mirror.engine.working
            limit = max(self.config.silence_seconds, 3.0 * working.duration if working else 0.0)
            if self.pool.instances[number].alive and since is not None and now - max(since, mirror.heard) > limit:
                found.append(number)
        return found

    def drain_seconds(self) -> float:
        """About how long it takes to place what is held."""
        ranks = sum(self.pool.instances[number].ranks for number in self.pool.ready)
        return self._held_tokens / max(ranks * self.config.prefill.tokens_per_second, 1.0)

    def state(self) -> dict[str, Any]:
        """The virtual state, for people."""
        return {
            "held": self.scheduler.held,
            "held_tokens": self._held_tokens,
            "policy": self.config.scheduler.policy,
            "valve_open": self.valve.open,
            "decisions": dict(self.decisions),
            "instances": [
                {
                    "urls": target.urls,
                    "alive": one.alive,
                    "drained": number in self.drained,
                    "busy": one.busy,
                    "backlog": list(one.backlog.values),
                    "sent": one.sent,
                }
                for number, (target, one) in enumerate(zip(self.config.targets, self.pool.instances, strict=True))
            ],
        }

    def _report(self, instance: int, report: Report, now: float) -> None:
        """What the mirror infers counts where the engine itself does not tell."""
        if not self.tells[instance] and self.pool.instances[instance].alive:
            self._tell(instance, report._replace(seen=self.pool.instances[instance].sent), now)

    def _tell(self, instance: int, report: Report, now: float) -> None:
        self.scheduler.on_report(instance, report, now)
        if self.shadow is not None:
            self.shadow.measured(instance, report)

    def _out(self, instance: int) -> None:
        now = monotonic()
        self.scheduler.on_lost(instance, now)
        if self.shadow is not None:
            self.shadow.lost(instance, now)

    def _shadow(self) -> Shadow:
        config, ranks = self.config, [target.ranks for target in self.config.targets]
        at_once = config.scheduler.model_copy(update={"policy": "least_tokens"})
        scheduler = make_scheduler(at_once, Pool.of(ranks, config.prefill.chunk))
        return Shadow(scheduler, ranks, config.prefill, self.valve)

    def _send(self, ticket: Ticket, decision: Decision) -> None:
        ticket.decision = decision
        ticket.tried.add(decision.instance)
        self.decisions[decision.reason] += 1
        self.mirrors[decision.instance].receive(decision.request, decision.rank, decision.cost)
