"""The admin API for operators: state, drain and undrain. A separate application with its own port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from espalier.serving.gateway.dispatcher import Dispatcher
from espalier.serving.gateway.refusals import refuse, shaped
from espalier.serving.gateway.tokens import TokenEstimate


def admin_app(dispatcher: Callable[[], Dispatcher], estimate: TokenEstimate) -> web.Application:
    """`/admin/state`, `/admin/drain/N` and `/admin/undrain/N`. dispatcher: returns the gateway's dispatcher once it
    runs.
    """

    async def state(request: web.Request) -> web.Response:
        return web.json_response({**state_of(dispatcher()), "bytes_per_token": estimate.bytes_per_token})

    async def drain(request: web.Request) -> web.Response:
        name, known = request.match_info["instance"], len(dispatcher().config.targets)
        if name not in map(str, range(known)):
            return refuse(404, f"there is no instance {name}; there are {known}, from 0", code="not_found")
        dispatcher().drain(int(name), "/undrain/" not in request.path)
        return web.json_response(instance_state(dispatcher(), int(name)))

    app = web.Application(middlewares=[shaped])
    app.router.add_get("/admin/state", state)
    app.router.add_post("/admin/drain/{instance}", drain)
    app.router.add_post("/admin/undrain/{instance}", drain)
    return app


def state_of(dispatcher: Dispatcher) -> dict[str, Any]:
    """The estimated state of all instances as plain data."""
    return {
        "held": dispatcher.scheduler.held,
        "held_tokens": dispatcher.held_tokens,
        "policy": dispatcher.config.scheduler.policy,
        "valve_open": dispatcher.valve.open,
        "decisions": dict(dispatcher.decisions),
        "instances": [instance_state(dispatcher, number) for number in range(len(dispatcher.config.targets))],
    }


def instance_state(dispatcher: Dispatcher, number: int) -> dict[str, Any]:
    """The estimated state of one instance."""
    one = dispatcher.pool.instances[number]
    return {
        "urls": dispatcher.config.targets[number].urls,
        "alive": one.alive,
        "drained": number in dispatcher.drained,
        "doubted": number in dispatcher.doubted,
        "telling": number in dispatcher.telling,
        "busy": one.busy,
        "backlog": list(one.backlog.values),
        "open": list(one.open),
        "sent": one.sent,
    }
