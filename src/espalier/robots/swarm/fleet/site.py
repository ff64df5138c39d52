"""What all vehicles are given before they start: the formations to fly, and what is in the way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.core.seed import np_rng
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.formation.assign import assign
from espalier.robots.swarm.formation.closing import closes_inwards
from espalier.robots.swarm.formation.make import make_formation
from espalier.robots.swarm.traj.graph_metric import random_edges
from espalier.robots.swarm.world.esdf import DistanceField
from espalier.robots.swarm.world.world import World

Floats = npt.NDArray[np.float64]


class Act(NamedTuple):
    """A formation, from a time on. slots: (n, 3) around 0. goal: (3,) its middle at the end. spacing_m: of slots.
    inwards: how it closes ranks, see `remap`.
    """

    at_s: float
    slots: Floats
    goal: Floats
    spacing_m: float
    inwards: bool = True


class Site(NamedTuple):
    """acts: in order of time, the first from the beginning on. field: distances to what is in the way. edges: (n, n),
    the pairs of vehicles whose distance counts for a graph; None for all.
    """

    acts: tuple[Act, ...]
    field: DistanceField
    edges: npt.NDArray[np.bool_] | None = None

    def act(self, now_s: float) -> int:
        """Which is on."""
        return sum(act.at_s <= now_s for act in self.acts[1:])


def site_of(config: FlightConfig, world: World, seed: int) -> Site:
    """Of a flight: the same for all of its vehicles."""
    sparse, share = config.planner.method == "sparse", config.planner.edge_share
    edges = random_edges(config.n, share, np_rng(seed, "edges")) if sparse else None
    return Site(acts_of(config), world.field, edges)


def acts_of(config: FlightConfig) -> tuple[Act, ...]:
    """The formations of a flight. The slots of the later ones are in the order with the least sum of squared ways for
    vehicles that keep their numbers.
    """
    slots = make_formation(config.shape, config.n, config.spacing_m)
    found = [Act(0.0, slots, np.array(config.goal), config.spacing_m, closes_inwards(config.shape))]
    for act in config.acts:
        slots = make_formation(act.shape, config.n, act.spacing_m)
        order = assign(found[-1].slots, slots).slot
        found.append(Act(act.at_s, slots[order], np.array(act.goal), act.spacing_m, closes_inwards(act.shape)))
    return tuple(found)
