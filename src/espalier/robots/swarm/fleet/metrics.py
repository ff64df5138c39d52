"""How well a formation was kept, and how safely."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from espalier.robots.swarm.fleet.simulate import Flight
from espalier.robots.swarm.register.similarity import Freedom
from espalier.robots.swarm.register.umeyama import umeyama

Floats = npt.NDArray[np.float64]
FREE = Freedom(yaw_only=False, scale=(0.2, 5.0))
TOUCH_M, FLAT = 0.3, 0.5
"""Vehicles whose middles come nearer than this have touched; a metre of height counts half."""


def formation_error(flight: Flight) -> Floats:
    """(t,): mean distance of healthy vehicles to the best fitting similar formation, over its diameter."""
    healthy = flight.healthy
    slots, positions = flight.slots[healthy], flight.positions[:, healthy]
    fit = umeyama(slots, positions, np.ones(len(slots), bool), freedom=FREE)
    off = np.linalg.norm(fit.apply(slots) - positions, axis=2).mean(1)
    return off / float(pdist(flight.slots).max())


def separations(flight: Flight) -> Floats:
    """(t,): least distance between two vehicles, height counting half."""
    found = np.full(len(flight.times), np.inf)
    for k, positions in enumerate(flight.positions):
        there = positions[np.isfinite(positions[:, 0])] * (1.0, 1.0, FLAT)
        if len(there) > 1:
            found[k] = cKDTree(there).query(there, k=2)[0][:, 1].min()
    return found


def clearances(flight: Flight) -> Floats:
    """(t,): least distance of a vehicle to an obstacle, exactly."""
    there = np.where(np.isfinite(flight.positions), flight.positions, 1e6)
    distance = flight.world.distance(there.reshape(-1, 3)).reshape(there.shape[:2])
    return np.where(np.isfinite(flight.positions[..., 0]), distance, np.inf).min(1)


def figures(flight: Flight) -> dict[str, float]:
    """What a table shows."""
    healthy, error = flight.healthy, formation_error(flight)
    ms = np.concatenate([agent.ms[1:] for agent in flight.agents if len(agent.ms) > 1] or [[np.nan]])
    way = flight.positions[-1, healthy] - flight.positions[0, healthy]
    goal = flight.agents[0].site.goal - flight.positions[0].mean(0)
    near, clear = separations(flight), clearances(flight)
    flags = [agent.registration for agent in flight.agents if agent.registration is not None and healthy[agent.me]]
    out = {
        "error_percent": 100.0 * float(error.mean()),
        "error_percent_end": 100.0 * float(error[-len(error) // 4 :].mean()),
        "travelled_share": float((way @ goal).mean() / (goal @ goal)),
        "least_separation_m": float(near.min()),
        "least_clearance_m": float(clear.min()),
        "touches": float((near < TOUCH_M).sum() + (clear < 0.0).sum()),
        "plan_ms_median": float(np.nanmedian(ms)),
        "plan_ms_p95": float(np.nanquantile(ms, 0.95)),
        "dodges": float(sum(agent.dodges for agent in flight.agents)),
        "brakes": float(sum(agent.brakes for agent in flight.agents)),
        "messages": float(flight.channel.sent),
    }
    if flags and not healthy.all():
        flagged = np.stack([~one.inlier for one in flags])[:, ~healthy].mean()
        out["failed_flagged"] = float(flagged)
        out["healthy_flagged"] = float(np.mean([(~one.inlier & healthy).sum() - 1 for one in flags]) / healthy.sum())
    return out
