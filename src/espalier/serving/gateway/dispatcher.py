"""The scheduler on an event loop. It holds requests until their turn and watches the engines."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from itertools import chain, count, repeat
from time import monotonic

from espalier.core.errors import EngineError
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.safety import Guarded, Valve
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.staggered import Staggered
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Decision, Reason, Report, Request
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.engines.breaker import Breaker
from espalier.serving.gateway.engines.mirror import Mirror
from espalier.serving.gateway.shadow import Shadow
from espalier.serving.gateway.ticket import OverloadedError, Ticket
from espalier.serving.gateway.tokens import Prompt
from espalier.serving.sim.scenario import make_scheduler

log = logging.getLogger("espalier.gateway")
HOLDING = ("sbs", "sbs_whole", "pull")
RECENT = 1000
"""Number of batches and reports that the metrics average over."""
LONGEST_WAIT = 60.0
"""Largest `Retry-After` in seconds."""


class Dispatcher:
    """The scheduler, with a mirror and a circuit breaker for each instance. All methods run on the loop's thread.

    drained: instances that an operator has drained. doubted: instances whose first byte is overdue although their
    health check succeeds; they get no requests until it arrives. unsure: instances that failed and have not been
    checked since. telling: instances that currently report their passes.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.pool = Pool.of([one.ranks for one in config.targets], config.prefill.chunk, not config.prefill_only)
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
        self.doubted: set[int] = set()
        self.unsure: set[int] = set()
        self.telling: set[int] = set()
        self.tickets: dict[int, Ticket] = {}
        self.held_tokens = 0
        self.decisions: Counter[str] = Counter()
        self.fills: deque[float] = deque(maxlen=RECENT)
        self.drifts: deque[float] = deque(maxlen=RECENT)
        self._sent: Counter[int] = Counter()
        self._numbers, self._batches = count(), count()
        self._timer: asyncio.TimerHandle | None = None

    def submit(
        self, prompt: Prompt, *, streamed: bool = True, priority: int = 0, blocks: tuple[int, ...] = ()
    ) -> Ticket:
        """Queue a prompt. Raises OverloadedError if the buffer is full."""
        config, held, tokens = self.config, self.scheduler.held, prompt.tokens
        if held >= config.buffer_requests or (held and self.held_tokens + tokens > config.buffer_tokens):
            raise OverloadedError(
                f"{held} requests of {self.held_tokens} tokens are already held", self.drain_seconds()
            )
        now = monotonic()
        request = Request(next(self._numbers), now, tokens, blocks=blocks, priority=priority)
        ticket = Ticket(request, asyncio.get_running_loop().create_future(), streamed, prompt.text)
        self.tickets[request.id] = ticket
        self.held_tokens += tokens
        self.scheduler.on_arrival(request, now)
        if self.shadow is not None:
            self.shadow.arrived(request, now)
        self.kick()
        return ticket

    def elsewhere(self, ticket: Ticket) -> list[int]:
        """Instances that this request has not been tried on and that accept requests."""
        return [number for number in self.pool.ready if number not in ticket.tried]

    def again(self, ticket: Ticket) -> Decision:
        """Another place for a request that failed before its first byte: the rank with the least load among instances
        not tried yet. Raises EngineError if no other instance is ready.
        """
        ready = self.elsewhere(ticket)
        if not ready:
            raise EngineError("no other engine is ready", retryable=True)
        self._missed(ticket)
        self._over(ticket)
        instances = ((number, self.pool.instances[number]) for number in ready)
        loads = (zip(one.backlog.values, one.open, repeat(number), count()) for number, one in instances)
        *_, number, rank = min(chain.from_iterable(loads))
        decision = Decision(ticket.request, number, rank, ticket.request.prompt, Reason.FALLBACK)
        self._send(self.scheduler.place(decision), ticket, f"{next(self._batches)}/1")
        self.pool.instances[number].busy = True
        self.mirrors[number].begin(monotonic())
        return decision

    def first_byte(self, ticket: Ticket, *, good: bool = True) -> None:
        """The first byte of an answer arrived. good: it is the expected answer, so the prefill is complete."""
        number, now = ticket.instance, monotonic()
        ticket.answered = True
        self._resolve(ticket, now)
        if self.shadow is not None:
            (self.shadow.answered if good and ticket.streamed else self.shadow.forget)(ticket.request, now)
        if not good:
            self.mirrors[number].forget(ticket.request)
        for report in self.mirrors[number].first_byte(ticket.request, now) if good else ():
            self._report(number, report, now)
        if number in self.doubted:
            self.doubt(number, False)
        self.kick()

    def done(self, ticket: Ticket) -> None:
        """The answer is complete."""
        self.healthy(ticket.instance)

    def release(self, ticket: Ticket) -> None:
        """The request has ended: answered, failed, or cancelled by its client."""
        self.tickets.pop(ticket.request.id, None)
        now = monotonic()
        if ticket.decision is None:
            self.held_tokens -= ticket.request.prompt
            self.scheduler.on_cancel(ticket.request, now)
        else:
            if not ticket.answered:
                self._missed(ticket)
            self._over(ticket)
        if self.shadow is not None and not ticket.answered:
            self.shadow.forget(ticket.request, now)
        ticket.placed.cancel()
        self.kick()

    def failed(self, instance: int, why: str, *, final: bool = False) -> None:
        """An instance has failed. final: nothing listens on its address, so its requests are given up: those without a
        first byte immediately, the others when no more bytes arrive.
        """
        now = monotonic()
        self.unsure.add(instance)
        if self.breakers[instance].failed(now, final=final):
            log.warning("instance %d is left alone: %s", instance, why)
            self.scheduler.on_lost(instance, now)
            self.mirrors[instance].clear()
            if self.shadow is not None:
                self.shadow.lost(instance, now)
        if final:
            for ticket in self.tickets.values():
                if ticket.decision is not None and ticket.instance == instance:
                    ticket.hurry(self.config.silence_seconds if ticket.answered else 0.0)
        self.kick()

    def healthy(self, instance: int) -> None:
        """An instance is healthy. If its circuit breaker was open, it gets requests again."""
        self.breakers[instance].succeeded()
        if not self.pool.instances[instance].alive:
            log.warning("instance %d is back", instance)
            now = monotonic()
            self.scheduler.on_back(instance, now)
            if self.shadow is not None:
                self.shadow.back(instance, now)
            self.kick()

    def drain(self, instance: int, out: bool) -> None:
        """Stop sending requests to an instance, or start again. Requests that it already has stay with it."""
        (self.drained.add if out else self.drained.discard)(instance)
        self._pause(instance)

    def doubt(self, instance: int, doubted: bool) -> None:
        """Stop sending requests to an instance until its overdue first byte arrives."""
        (self.doubted.add if doubted else self.doubted.discard)(instance)
        self._pause(instance)

    def listening(self, instance: int, now_on: bool) -> None:
        """Whether the instance currently reports its passes; otherwise they are inferred."""
        if now_on:
            self.telling.add(instance)
        elif instance in self.telling:
            self.telling.discard(instance)
            self._report(instance, self.mirrors[instance].engine.report(None), monotonic())
            self.kick()

    def hear(self, instance: int, report: Report) -> None:
        """An instance reported a pass."""
        if self.pool.instances[instance].alive:
            now = monotonic()
            self.mirrors[instance].heard = now
            self.drifts.append(abs(sum(report.backlog) - sum(self.mirrors[instance].engine.backlog)))
            self._tell(instance, report, now)
            self.kick()

    def kick(self) -> None:
        """Run the scheduler, send out its decisions, and set the timer for the next call."""
        now = monotonic()
        for number, mirror in enumerate(self.mirrors):
            for report in mirror.tick(now):
                self._report(number, report, now)
        decisions, wake = self.scheduler.poll(now)
        batches = Counter(decision.instance for decision in decisions)
        names = {number: f"{next(self._batches)}/{size}" for number, size in batches.items()}
        for decision in decisions:
            ticket = self.tickets[decision.request.id]
            self.held_tokens -= ticket.request.prompt
            self._send(decision, ticket, names[decision.instance])
            if not ticket.placed.done():  # its client has left this very moment
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
        """Watchdog: instances whose first byte is overdue."""
        now, found = monotonic(), []
        for number, mirror in enumerate(self.mirrors):
            since = mirror.owes_since()
            working = mirror.engine.working
            limit = max(self.config.silence_seconds, 3.0 * working.duration if working else 0.0)
            if self.pool.instances[number].alive and since is not None and now - max(since, mirror.heard) > limit:
                found.append(number)
        return found

    def deaf(self) -> list[int]:
        """Instances whose last report is older than a pass can last: the event stream may be broken."""
        now, limit, instances = monotonic(), self.config.silence_seconds, self.pool.instances
        quiet = {number: max(self.mirrors[number].began, instances[number].heard) for number in self.telling}
        idle = (number for number in quiet if self.mirrors[number].engine.working is None)
        return [number for number in idle if instances[number].busy and now - quiet[number] > limit]

    def drain_seconds(self) -> float:
        """Estimated seconds until all held requests are placed, from 1 to 60."""
        ranks = sum(self.pool.instances[number].ranks for number in self.pool.ready)
        speed = ranks * self.config.prefill.tokens_per_second
        seconds = self.held_tokens / speed if speed else self.config.retry_seconds
        return min(max(seconds, 1.0), LONGEST_WAIT)

    def _report(self, instance: int, report: Report, now: float) -> None:
        """A pass inferred by the mirror. It is used unless the engine itself reports its passes."""
        if instance not in self.telling and self.pool.instances[instance].alive:
            self._tell(instance, report._replace(seen=self.pool.instances[instance].sent), now)

    def _tell(self, instance: int, report: Report, now: float) -> None:
        self.scheduler.on_report(instance, report, now)
        if self.shadow is not None:
            self.shadow.measured(instance, report)

    def _pause(self, instance: int) -> None:
        now, paused = monotonic(), instance in self.drained | self.doubted
        self.scheduler.on_pause(instance, now, paused)
        if self.shadow is not None:
            self.shadow.pause(instance, now, paused)
        self.kick()

    def _missed(self, ticket: Ticket) -> None:
        """An instance will not answer a request that was sent to it."""
        self.mirrors[ticket.instance].forget(ticket.request)
        self._resolve(ticket, monotonic())

    def _resolve(self, ticket: Ticket, now: float) -> None:
        """Stop waiting for a report of the instance that covers the request."""
        if ticket.instance in self.telling:
            self.scheduler.on_missed(ticket.instance, ticket.number, now)

    def _over(self, ticket: Ticket) -> None:
        """Remove the request from the load of its instance."""
        self.scheduler.on_over(ticket.instance, ticket.rank, monotonic())

    def _shadow(self) -> Shadow:
        config, ranks = self.config, [target.ranks for target in self.config.targets]
        at_once = config.scheduler.model_copy(update={"policy": "least_tokens"})
        scheduler = make_scheduler(at_once, Pool.of(ranks, config.prefill.chunk))
        return Shadow(scheduler, ranks, config.prefill, self.valve)

    def _send(self, decision: Decision, ticket: Ticket, batch: str) -> None:
        number = decision.instance
        self._sent[number] += 1
        ticket.decision, ticket.batch, ticket.number = decision, batch, self._sent[number]
        ticket.tried.add(number)
        self.decisions[decision.reason] += 1
        self.mirrors[number].receive(decision.request, decision.rank, decision.cost, signs=ticket.streamed)
