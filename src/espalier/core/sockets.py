"""Addresses to listen on, taken before anything slow is begun."""

from __future__ import annotations

import socket

from espalier.core.errors import EspalierError

PORTS = range(65536)


def listening(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises EspalierError where the address is not to be had."""
    if port not in PORTS:
        raise EspalierError(f"port {port}: ports are 0 (any free one) to {PORTS[-1]}")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except (OSError, UnicodeError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else "no name of a host"
        advice = "ports below 1024 need rights of the system: take a higher one" if port and port < 1024 else ""
        raise EspalierError(
            f"cannot listen on {host}:{port} ({why}): {advice or 'set another host or port, 0 for any free one'}"
        ) from None
    return found


def free_port() -> int:
    """A port of this machine on which nothing listens now."""
    with listening("127.0.0.1", 0) as free:
        return int(free.getsockname()[1])


def address(bound: socket.socket, host: str) -> str:
    """The URL of a bound socket, as `host` was given."""
    return f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
