"""What a table shows of a flight."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.metrics import Series, Shape, measure
from espalier.robots.swarm.fleet.recording import Recording
from espalier.robots.swarm.fleet.simulate import TICK_S, Flagged, Flight

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ARRIVED_M = 0.5
"""From its place at the goal."""
MOST = 0.95
"""Share of the healthy vehicles that must be at their places for the formation to have arrived."""


def figures(flight: Flight, series: Series | None = None) -> dict[str, float]:
    """Metrics of formation, distance flown, safety, effort, time, messages and flags. series: the result of `measure`,
    if it was computed already. A healthy vehicle has had no failure during the flight.

    - error_percent, error_percent_end: mean of `Shape.error` over the flight and over its last quarter;
      error_percent_way: over the distance flown; error_percent_acts: the largest at the end of an act
    - arrived_acts: smallest share of healthy vehicles within 0.5 m of their places at the goal at the end of an act
    - misfit: mean of `Shape.misfit` over the distance flown; scale_least, scale_most: of `Shape.scale`
    - travelled_share, travelled_least: mean and smallest share of the straight line to its final place that a healthy
      vehicle has covered; the remaining distance counts in any direction
    - without_slot: healthy vehicles that hold no slot at the end, or one that another vehicle holds too
    - filled_share: share of the slots that a vehicle without a current failure holds at the end; fillable_share: share
      that such vehicles could fill
    - success: 1 if there was no collision, without_slot is 0, 95% of the healthy vehicles are within 0.5 m of their
      places at the end, and `success_share` of the slots are filled
    - arrival_s: time from which those 95% are there; NaN if they are not
    - touches, touches_adrift: samples with a collision, see `Safety`; least_altitude_m: of vehicles that can steer
    - rejoined_share: share of recovered vehicles within 0.5 m of their place at the end; rejoined_s: median time that
      this took
    - effort_m2ps3: integral of the squared acceleration, mean of the healthy vehicles
    - flag_precision, flag_recall: of `Flagged`
    """
    recording = flight.recording
    kept, safe = measure(recording) if series is None else series
    return {
        **_formation(recording, kept),
        **_places(flight, touched=bool(safe.touches.sum())),
        "least_separation_m": float(safe.separation.min()),
        "least_clearance_m": float(safe.clearance.min()),
        "least_altitude_m": float(safe.altitude.min()),
        "touches": float(safe.touches.sum()),
        "touches_adrift": float(safe.adrift_touches.sum()),
        **_rejoined(recording, kept.off),
        "effort_m2ps3": _effort(recording.positions[:, recording.healthy]),
        **_planning(flight),
        **_flags(flight.flagged),
    }


def _formation(recording: Recording, kept: Shape) -> dict[str, float]:
    """How well the formation was kept, over the flight and at the end of each act."""
    ends = np.array([np.flatnonzero(recording.act == act)[-1] for act in np.unique(recording.act)])
    return {
        "error_percent": 100.0 * _mean(kept.error),
        "error_percent_end": 100.0 * _mean(kept.error[-len(kept.error) // 4 :]),
        "error_percent_way": 100.0 * _over_way(recording, kept.error),
        "error_percent_acts": 100.0 * float(np.max(kept.error[ends])),
        "arrived_acts": float(np.min(_arrived(recording, ends))),
        "misfit": _over_way(recording, kept.misfit),
        "scale_least": float(np.fmin.reduce(kept.scale)),
        "scale_most": float(np.fmax.reduce(kept.scale)),
    }


def _places(flight: Flight, *, touched: bool) -> dict[str, float]:
    """Who reached which place. touched: whether there was a collision."""
    recording = flight.recording
    without, arrival_s, ways = _without_slot(recording), _arrival_s(recording), _ways(recording)
    sound = _sound(recording)
    slot = recording.slot[-1, sound]
    filled = len(np.unique(slot[slot >= 0])) / recording.formations.shape[1]
    is_full = filled >= flight.success_share - 1e-9
    return {
        "without_slot": float(without),
        "travelled_share": float(np.mean(ways)) if len(ways) else float("nan"),
        "travelled_least": float(np.min(ways)) if len(ways) else float("nan"),
        "filled_share": filled,
        "fillable_share": float(sound.mean()),
        "success": float(not touched and not without and np.isfinite(arrival_s) and is_full),
        "arrival_s": arrival_s if np.isfinite(arrival_s) else float("nan"),
    }


def _planning(flight: Flight) -> dict[str, float]:
    """Time and messages that the planners took."""
    ms = [ms for agent in flight.agents for ms in agent.ms[1:]] or [float("nan")]
    seconds = max(float(flight.recording.times[-1]), TICK_S)
    return {
        "plan_ms_median": float(np.median(ms)),
        "plan_ms_p95": float(np.quantile(ms, 0.95)),
        "plan_ms_most": float(np.max(ms)),
        "dodges": float(sum(agent.pilot.dodges for agent in flight.agents)),
        "brakes": float(sum(agent.pilot.brakes for agent in flight.agents)),
        "messages_per_s": flight.channel.sent / seconds,
        "kilobytes_per_s": flight.channel.bytes / 1000.0 / seconds,
    }


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _over_way(recording: Recording, values: Floats) -> float:
    """The mean over the distance flown by the healthy vehicles' centre; over time if they stand still."""
    if not recording.healthy.any():
        return float("nan")
    middle = recording.positions[:, recording.healthy].mean(1)
    steps = np.linalg.norm(np.diff(middle, axis=0), axis=1)
    known = np.isfinite(values[1:])
    total = float(steps[known].sum())
    return float((values[1:] * steps)[known].sum() / total) if total > 0.0 else _mean(values)


def _ways(recording: Recording) -> Floats:
    """(m,) share of the straight line from start to final place that each healthy vehicle covered: 1 minus the
    remaining distance over the length of the line (at least 0.5 m). The place of a vehicle without a slot is the goal.
    """
    healthy, slot = recording.healthy, recording.slot[-1, recording.healthy]
    place = recording.goals[-1] + np.where(slot[:, None] >= 0, recording.formations[-1, slot], 0.0)
    begin, end = recording.positions[0, healthy], recording.positions[-1, healthy]
    way, missing = np.linalg.norm(place - begin, axis=1), np.linalg.norm(place - end, axis=1)
    return np.maximum(1.0 - missing / np.maximum(way, ARRIVED_M), 0.0)


def _arrived(recording: Recording, steps: Ints) -> Floats:
    """(k,) share of the healthy vehicles that hold a slot and are at its place at the goal, at samples (k,); NaN if no
    vehicle is healthy.
    """
    slot, healthy, act = recording.slot[steps], recording.healthy, recording.act[steps]
    if not healthy.any():
        return np.full(len(steps), np.nan)
    places = recording.goals[act, None] + recording.formations[act[:, None], slot]
    near = healthy & (slot >= 0) & (np.linalg.norm(recording.positions[steps] - places, axis=2) <= ARRIVED_M)
    return np.asarray(near.sum(1) / healthy.sum())


def _arrival_s(recording: Recording) -> float:
    """Time from which `MOST` of the healthy vehicles with a slot have been at their final places; infinite if never."""
    slot, healthy = recording.slot[-1], recording.healthy & (recording.slot[-1] >= 0)
    if not healthy.any():
        return np.inf
    places = recording.goals[-1] + recording.formations[-1, slot[healthy]]
    off = np.linalg.norm(recording.positions[:, healthy] - places, axis=2)
    away = np.flatnonzero((off <= ARRIVED_M).mean(1) < MOST)
    first = 0 if not len(away) else int(away[-1]) + 1
    return float(recording.times[first]) if first < len(recording.times) else np.inf


def _without_slot(recording: Recording) -> int:
    """Healthy vehicles without a slot at the end. If several hold the same slot, all but one count."""
    slot = recording.slot[-1, recording.healthy]
    return len(slot) - len(np.unique(slot[slot >= 0]))


def _sound(recording: Recording) -> npt.NDArray[np.bool_]:
    """(n,) whether a vehicle has no failure at the end."""
    sound: npt.NDArray[np.bool_] = ~recording.struck[-1] & np.isfinite(recording.positions[-1]).all(1)
    return sound


def _rejoined(recording: Recording, off: Floats) -> dict[str, float]:
    """off: (t, n) metres of each vehicle from its place in the formation."""
    again = recording.struck.any(0) & ~recording.struck[-1]
    if not again.any():
        return {}
    steps, near = len(off), off[:, again] <= ARRIVED_M
    freed = steps - recording.struck[::-1, again].argmax(0)
    took = [int(one[begin:].argmax()) * TICK_S for one, begin in zip(near.T, freed, strict=True) if one[begin:].any()]
    return {
        "rejoined_share": float(near[-1].mean()) if np.isfinite(off[-1]).any() else float("nan"),
        "rejoined_s": float(np.median(took)) if took else float("nan"),
    }


def _effort(positions: Floats) -> float:
    if not positions.shape[1]:
        return float("nan")
    accel = np.diff(positions, 2, axis=0) / TICK_S**2
    return float((accel**2).sum(2).mean(1).sum() * TICK_S)


def _flags(flagged: Flagged) -> dict[str, float]:
    precision = {"flag_precision": flagged.right / flagged.said} if flagged.said else {}
    return precision | ({"flag_recall": flagged.right / flagged.struck} if flagged.struck else {})
