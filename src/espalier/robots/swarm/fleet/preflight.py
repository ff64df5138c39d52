"""Whether a flight can begin and end: places that are taken, too near to each other, underground or outside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from espalier.core.errors import ConfigError
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.metrics import SQUASHED
from espalier.robots.swarm.fleet.site import Act
from espalier.robots.swarm.traj.config import LimitsConfig
from espalier.robots.swarm.world.world import World

Floats = npt.NDArray[np.float64]
TRIES = 1000
"""Draws of a start that is not too near to others."""


def starts_of(config: FlightConfig, acts: tuple[Act, ...], world: World, rng: np.random.Generator) -> Floats:
    """(n, 3): where vehicles begin, scattered if that is asked for. Raises ConfigError for a start or a goal that
    cannot be.
    """
    limits = config.planner.trajectory.limits
    check_goals(acts, limits, world)
    begin = np.array(config.start) + acts[0].slots
    if config.scatter_m:
        begin = _scattered(begin, config.scatter_m, limits, world, rng)
    _check(begin, "start", limits, world)
    return begin


def check_goals(acts: tuple[Act, ...], limits: LimitsConfig, world: World) -> None:
    """Raises ConfigError for a formation that cannot be at its goal."""
    for number, act in enumerate(acts):
        where = "goal" if not number else f"acts.{number - 1}.goal"
        _check(act.goal + act.slots, where, limits, world)


def _check(places: Floats, where: str, limits: LimitsConfig, world: World) -> None:
    lowest, highest = float(places[:, 2].min()), float(places[:, 2].max())
    if limits.floor_m is not None and lowest < limits.floor_m - 1e-9:
        raise ConfigError(
            f"{where}: the lowest place is at z = {lowest:.2f} m, below floor_m, {limits.floor_m:g}; raise the middle "
            f"of the formation by {limits.floor_m - lowest:.2f} m"
        )
    if limits.ceiling_m is not None and highest > limits.ceiling_m + 1e-9:
        raise ConfigError(f"{where}: the highest place is at z = {highest:.2f} m, above ceiling_m")
    (west, south, _), (east, north, _) = world.bounds
    outside = (places[:, 0] < west) | (places[:, 0] > east) | (places[:, 1] < south) | (places[:, 1] > north)
    if outside.any():
        x, y, _ = places[outside.argmax()].tolist()
        raise ConfigError(
            f"{where}: {int(outside.sum())} places are outside of the world, the first at x = {x:.1f}, y = {y:.1f} m; "
            f"it has x {west:g} to {east:g} and y {south:g} to {north:g}"
        )
    taken = world.distance(places) < limits.least_clearance_m
    if taken.any():
        x, y, z = places[taken.argmax()].tolist()
        raise ConfigError(
            f"{where}: {int(taken.sum())} places are in obstacles or too near to them, the first at "
            f"{x:.1f}, {y:.1f}, {z:.1f} m"
        )
    nearest = _nearest(places)
    if nearest < limits.separation_m - 1e-9:
        raise ConfigError(
            f"{where}: two places are {nearest:.2f} m apart, height counting half, which is less than separation_m, "
            f"{limits.separation_m:g}; widen spacing_m"
        )


def _nearest(places: Floats) -> float:
    squashed = places * SQUASHED
    return float(cKDTree(squashed).query(squashed, k=2)[0][:, 1].min()) if len(places) > 1 else np.inf


def _scattered(begin: Floats, most_m: float, limits: LimitsConfig, world: World, rng: np.random.Generator) -> Floats:
    """Each drawn level around its slot until it is free and not too near to those before it."""
    low, high = (bound[:2] + 1e-6 for bound in world.bounds)
    out = np.empty((0, 3))
    for slot in begin:
        for _ in range(TRIES):
            angle, away_m = rng.uniform(0.0, 2.0 * np.pi), most_m * np.sqrt(rng.uniform())
            place = slot + away_m * np.array([np.cos(angle), np.sin(angle), 0.0])
            inside = (place[:2] >= low).all() and (place[:2] <= high - 2e-6).all()
            apart = np.linalg.norm((out - place) * SQUASHED, axis=1).min(initial=np.inf)
            if inside and apart >= limits.separation_m and world.distance(place[None])[0] >= limits.least_clearance_m:
                break
        else:
            raise ConfigError(f"scatter_m: there is no free start within {most_m:g} m of {slot.round(1).tolist()}")
        out = np.vstack([out, place])
    return out
