"""The public functions of the swarm, for notebooks, scripts and vehicles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from espalier.core.errors import ConfigError, DataError
from espalier.core.seed import np_rng
from espalier.robots.swarm.fleet.agent import Agent
from espalier.robots.swarm.fleet.comms import Inbox
from espalier.robots.swarm.fleet.config import FlightConfig, View
from espalier.robots.swarm.fleet.figures import figures
from espalier.robots.swarm.fleet.message import Message, decode, encode
from espalier.robots.swarm.fleet.metrics import measure
from espalier.robots.swarm.fleet.preflight import check_goals
from espalier.robots.swarm.fleet.recording import Recording
from espalier.robots.swarm.fleet.simulate import Flight, simulate
from espalier.robots.swarm.fleet.site import site_of
from espalier.robots.swarm.formation.make import make_formation
from espalier.robots.swarm.formation.words import shape_of
from espalier.robots.swarm.show.save import Look, save_flight
from espalier.robots.swarm.traj.optimise import Optimiser
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.make import make_world

__all__ = [
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
]


def fly(seed: int = 0, watch: Callable[[float], bool] | None = None, **settings: Any) -> Flight:
    """Simulate a flight. settings: fields of FlightConfig. watch: called with the time at every sample; return False to
    end the flight.
    """
    return simulate(FlightConfig.of(**settings), seed, watch)


def save(flight: Flight | Recording, file: str | Path, view: Literal["auto"] | View = "auto") -> Path:
    """Write a flight as .gif, .mp4, .png, .csv, .rrd, or .npz, which `Recording.load` reads. Returns the path."""
    return save_flight(flight if isinstance(flight, Recording) else flight.recording, Path(file), Look(view=view))


def slots(shape: str, n: int, spacing_m: float = 2.0) -> npt.NDArray[np.float64]:
    """(n, 3) slots of a formation around 0, metres. shape: a name, `text:WORDS`, `image:FILE` or `mesh:FILE`."""
    return make_formation(shape_of(shape), n, spacing_m)


def vehicle(me: int, position: npt.ArrayLike, seed: int = 0, **settings: Any) -> Agent:
    """One vehicle of a flight, at position (3,), to be embedded: pass it messages, fly its plans, send its messages.

    settings: fields of FlightConfig; settings and seed must be the same for all vehicles. Raises ConfigError if `me` is
    not a vehicle's number or the formation cannot be at its goal, DataError if the position is not one.
    """
    config, place = FlightConfig.of(**settings), np.asarray(position, np.float64)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise DataError(f"position: three finite numbers x, y, z are needed, not {place.tolist()}")
    if not 0 <= me < config.n:
        raise ConfigError(f"there is no vehicle {me}: numbers are 0 to {config.n - 1}")
    world = make_world(config.world)
    site, optimiser = site_of(config, world, seed), Optimiser(config.planner.trajectory)
    check_goals(site.acts, config.planner.trajectory.limits, world)
    return Agent(me, site, config.planner, optimiser, np_rng(seed, "agent", me), Trajectory.hover(place))
