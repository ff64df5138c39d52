"""What operators are shown."""

from __future__ import annotations

from typing import Any

from espalier.serving.gateway.dispatcher import Dispatcher


def state_of(dispatcher: Dispatcher) -> dict[str, Any]:
    """The virtual state, in plain data."""
    return {
        "held": dispatcher.scheduler.held,
        "held_tokens": dispatcher.held_tokens,
        "policy": dispatcher.config.scheduler.policy,
        "valve_open": dispatcher.valve.open,
        "decisions": dict(dispatcher.decisions),
        "instances": [instance_state(dispatcher, number) for number in range(len(dispatcher.config.targets))],
    }


def instance_state(dispatcher: Dispatcher, number: int) -> dict[str, Any]:
    """That of one instance."""
    one = dispatcher.pool.instances[number]
    return {
        "urls": dispatcher.config.targets[number].urls,
        "alive": one.alive,
        "drained": number in dispatcher.drained,
        "doubted": number in dispatcher.doubted,
        "telling": number in dispatcher.telling,
        "busy": one.busy,
        "backlog": list(one.backlog.values),
        "sent": one.sent,
    }
