"""The Prometheus metrics."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from espalier.serving.gateway.dispatcher import Dispatcher

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 2.0, 4.0, 8.0, 16.0, 32.0)


class Measures:
    """The metrics of one gateway. Each has its own registry, so that several gateways can run in a process."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.registry = CollectorRegistry()
        self.ttft = self._histogram("ttft_seconds", "Time to first byte")
        self.wait = self._histogram("scheduler_wait_seconds", "Time held before placement")
        self.requests = Counter("espalier_requests", "Requests by outcome", ["outcome"], registry=self.registry)
        self.retries = Counter("espalier_retries", "Requests sent to a second engine", registry=self.registry)
        self._decisions = self._gauge("decisions", "Decisions by reason", "reason")
        self._backlog = self._gauge("backlog_tokens", "Tokens queued, by the virtual state", "instance")
        self._alive = self._gauge("instance_alive", "Whether an instance is in the ring", "instance")
        self._drained = self._gauge("instance_drained", "Whether an operator sends it nothing more", "instance")
        self._imbalance = self._gauge("rank_imbalance", "Most over mean backlog of the ranks", "instance")
        self._held = Gauge("espalier_held_requests", "Requests held", registry=self.registry)
        self._fill = Gauge("espalier_chunk_utilisation", "Tokens of recent batches over room", registry=self.registry)
        self._interval = Gauge("espalier_interval_seconds", "Between two batches", registry=self.registry)
        self._drift = Gauge("espalier_drift_tokens", "Virtual against reported backlog", registry=self.registry)
        self._opened = Gauge("espalier_valve_opened", "Times that holding was given up", registry=self.registry)
        self._valve = Gauge("espalier_valve_open", "Whether holding is given up", registry=self.registry)

    def page(self) -> bytes:
        """The page at /metrics."""
        dispatcher = self._dispatcher
        for reason, number in dispatcher.decisions.items():
            self._decisions.labels(reason).set(number)
        for number, one in enumerate(dispatcher.pool.instances):
            total = sum(one.backlog.values)
            self._backlog.labels(number).set(total)
            self._alive.labels(number).set(one.alive)
            self._drained.labels(number).set(number in dispatcher.drained)
            self._imbalance.labels(number).set(max(one.backlog.values) * one.ranks / total if total else 1.0)
        self._held.set(dispatcher.scheduler.held)
        self._valve.set(dispatcher.valve.open)
        self._opened.set(dispatcher.valve.opened)
        self._fill.set(_mean(dispatcher.fills))
        self._drift.set(_mean(dispatcher.drifts))
        if dispatcher.interval is not None:
            self._interval.set(dispatcher.interval.seconds(len(dispatcher.pool.ready)))
        return generate_latest(self.registry)

    def _histogram(self, name: str, what: str) -> Histogram:
        return Histogram(f"espalier_{name}", what, registry=self.registry, buckets=SECONDS)

    def _gauge(self, name: str, what: str, label: str) -> Gauge:
        return Gauge(f"espalier_{name}", what, [label], registry=self.registry)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
