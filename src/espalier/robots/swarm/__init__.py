"""Swarms that keep their formation when some of their vehicles fail: registration, trajectories, worlds, simulation.

from espalier.robots import swarm

flight = swarm.fly(n=36, failures=[{"kind": "freeze", "share": 0.1, "at_s": 6}])
print(swarm.figures(flight))
swarm.save(flight, "flight.gif")
"""

from typing import Any

_PUBLIC = (
    "Agent",
    "Flight",
    "FlightConfig",
    "Inbox",
    "Message",
    "Recording",
    "decode",
    "encode",
    "figures",
    "fly",
    "measure",
    "save",
    "slots",
    "vehicle",
)


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: recipes are read without SciPy and Numba."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from espalier.robots.swarm import api

    return getattr(api, name)
