"""Hybrid A*: the cheapest way over poses for a robot with a turning radius."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from espalier.robots.terrain.plan.arcs import ahead, toll_of
from espalier.robots.terrain.plan.astar import DIAGONAL, cost_to
from espalier.robots.terrain.plan.config import HybridConfig
from espalier.robots.terrain.plan.dubins import TURN, Pose, shortest
from espalier.robots.terrain.plan.errors import PlanError
from espalier.robots.terrain.plan.heap import pop, push
from espalier.robots.terrain.plan.obstacles import BLOCKED, Floats, States

Ints = npt.NDArray[np.int32]
SHORT = 1e-7
"""Pieces shorter than this (cells) are left out of a path."""


class Rules(NamedTuple):
    """What the kernel needs of the config, lengths in cells."""

    radius: float
    step: float
    headings: int
    reverse: bool
    reverse_factor: float
    cusp: float
    turn_factor: float
    bound: float
    max_poses: int


class PosePath(NamedTuple):
    """pieces: (k, 2) curvature and signed length (negative backwards) of each, in cells. cost: tolls with all factors,
    infinite where no path was found. expanded: poses whose motions were tried.
    """

    pieces: Floats
    cost: float
    expanded: int


def hybrid(
    state: States, toll: Floats, start: Pose, goal: Pose | tuple[float, float], config: HybridConfig, cell_m: float
) -> PosePath:
    """A path from the start pose exactly to the goal, and to its heading if it has one.

    x, y in cells, so that cell (r, c) covers x in [c, c + 1). state and toll: see `Obstacles`. Motions are straight or
    of the least radius; a Dubins path, forwards or backwards, joins the last pose to the goal. The cost of a state is
    estimated by that over cells to the goal, the straight line, and, where the robot only drives forwards to a
    heading, the Dubins path. Source: Dolgov, Thrun, Montemerlo & Diebel, 2010; the rule for stopping is ours. Raises
    PlanError where a motion is too short to leave its cell.
    """
    step = 1.5 if config.step_m is None else config.step_m / cell_m
    if step <= DIAGONAL:
        raise PlanError(
            f"hybrid.step_m: {config.step_m:g} is no more than a cell's diagonal, {DIAGONAL * cell_m:.3g} m"
        )
    field = cost_to(state, toll, (int(goal[1]), int(goal[0])))
    if not np.isfinite(field[int(start[1]), int(start[0])]):
        return PosePath(np.empty((0, 2)), np.inf, 0)
    headed = len(goal) == 3
    end = np.array([*goal] if headed else [*goal, 0.0], np.float64)
    rules = Rules(
        config.turning_radius_m / cell_m,
        step,
        config.headings,
        config.allow_reverse,
        config.reverse_factor,
        config.cusp_m / cell_m,
        1.0 + config.turn_penalty,
        config.bound,
        config.max_poses,
    )
    least = float(toll.min(where=state != BLOCKED, initial=np.inf))
    numbers = np.zeros((*state.shape, config.headings), np.int32)  # pages that are never written cost nothing
    first = np.array(start, np.float64)
    return PosePath(*_search(state, toll, field, numbers, first, end, headed, least, rules))


@njit(cache=True)
def _search(
    state: States,
    toll: Floats,
    field: Floats,
    numbers: Ints,
    start: Floats,
    goal: Floats,
    headed: bool,
    least: float,
    rules: Rules,
) -> tuple[Floats, float, int]:
    """The fields of a PosePath. numbers: (rows, cols, headings) zeros, for 1 + the number of the pose in each bin."""
    poses, costs = np.empty((rules.max_poses, 3)), np.empty(rules.max_poses)
    parents, motions = np.empty(rules.max_poses, np.int32), np.empty(rules.max_poses, np.int8)
    done = np.zeros(rules.max_poses, np.bool_)
    keys, items = np.empty(6 * rules.max_poses + 1), np.empty(6 * rules.max_poses + 1, np.int32)
    kinds = 6 if rules.reverse else 3
    poses[0], costs[0], parents[0], motions[0] = start, 0.0, -1, -1
    numbers[_bin(start[0], start[1], start[2], rules.headings)] = 1
    size, count, expanded, next_shot = push(keys, items, 0, 0.0, 0), 1, 0, 0
    best, best_pieces, best_node = np.inf, np.zeros((3, 2)), -1
    while size and best > rules.bound * keys[0]:
        node = items[0]
        size = pop(keys, items, size)
        if done[node]:
            continue
        done[node] = True
        x, y, yaw = poses[node]
        if expanded >= next_shot:
            cost, pieces = _shot(state, toll, poses[node], motions[node], goal, headed, rules)
            if costs[node] + cost < best:
                best, best_pieces, best_node = costs[node] + cost, pieces, node
            next_shot = expanded + 1 + int(np.hypot(goal[0] - x, goal[1] - y) / rules.radius)
        expanded += 1
        for motion in range(kinds):
            curvature, length = _motion(motion, rules)
            to_x, to_y, to_yaw = ahead(x, y, yaw, curvature, length)
            if not (0.0 <= to_x < state.shape[1] and 0.0 <= to_y < state.shape[0]):
                continue
            place = _bin(to_x, to_y, to_yaw, rules.headings)
            other = numbers[place] - 1
            if other >= 0 and done[other]:
                continue
            cost = costs[node] + _price(
                toll_of(state, toll, x, y, yaw, curvature, length), motion, motions[node], rules
            )
            if not np.isfinite(cost) or (other >= 0 and cost >= costs[other]):
                continue
            if other < 0:
                if count == rules.max_poses:
                    continue
                other, count = count, count + 1
                numbers[place] = count
            poses[other, 0], poses[other, 1], poses[other, 2] = to_x, to_y, to_yaw
            costs[other], parents[other], motions[other] = cost, node, motion
            size = push(keys, items, size, cost + _estimate(poses[other], field, goal, headed, least, rules), other)
    return _trace(parents, motions, best_node, best_pieces, rules), best, expanded


@njit(cache=True)
def _bin(x: float, y: float, yaw: float, headings: int) -> tuple[int, int, int]:
    return int(np.floor(y)), int(np.floor(x)), int(np.round(yaw % TURN / TURN * headings)) % headings


@njit(cache=True)
def _motion(motion: int, rules: Rules) -> tuple[float, float]:
    """Curvature and signed length of a motion: left, straight, right, and the same backwards."""
    return (1 - motion % 3) / rules.radius, (rules.step if motion < 3 else -rules.step)


@njit(cache=True)
def _price(toll: float, motion: int, before: int, rules: Rules) -> float:
    """Cost of a motion with this integral of the toll, after the motion `before` (-1 for none)."""
    cost = toll * (1.0 if motion % 3 == 1 else rules.turn_factor) * (1.0 if motion < 3 else rules.reverse_factor)
    return cost + (rules.cusp if before >= 0 and (before < 3) != (motion < 3) else 0.0)


@njit(cache=True)
def _estimate(pose: Floats, field: Floats, goal: Floats, headed: bool, least: float, rules: Rules) -> float:
    """Of the cost from a pose to the goal."""
    dx, dy = goal[0] - pose[0], goal[1] - pose[1]
    length = np.hypot(dx, dy)
    if headed and not rules.reverse:
        length = shortest(dx / rules.radius, dy / rules.radius, pose[2], goal[2], True)[:, 1].sum() * rules.radius
    return max(field[int(pose[1]), int(pose[0])], least * length)


@njit(cache=True)
def _shot(
    state: States, toll: Floats, pose: Floats, before: int, goal: Floats, headed: bool, rules: Rules
) -> tuple[float, Floats]:
    """Cost and pieces of the shortest path of arcs and straights to the goal, whole forwards or whole backwards."""
    best, best_pieces = np.inf, np.zeros((3, 2))
    dx, dy = (goal[0] - pose[0]) / rules.radius, (goal[1] - pose[1]) / rules.radius
    for sign in (1.0, -1.0):
        if sign < 0 and not rules.reverse:
            break
        flip = 0.0 if sign > 0 else np.pi
        pieces = shortest(dx, dy, pose[2] + flip, goal[2] + flip, headed)
        pieces[:, 0] *= sign / rules.radius
        pieces[:, 1] *= sign * rules.radius
        x, y, yaw, cost, last = pose[0], pose[1], pose[2], 0.0, before
        for k in range(3):
            curvature, length = pieces[k]
            motion = (0 if curvature else 1) + (0 if sign > 0 else 3)
            cost += _price(toll_of(state, toll, x, y, yaw, curvature, length), motion, last, rules)
            if not cost < best:
                break
            x, y, yaw = ahead(x, y, yaw, curvature, length)
            last = motion
        if cost < best:
            best, best_pieces = cost, pieces
    return best, best_pieces


@njit(cache=True)
def _trace(parents: Ints, motions: npt.NDArray[np.int8], node: int, last: Floats, rules: Rules) -> Floats:
    """Pieces from the start to `node`, then the last ones."""
    count, at = 0, node
    while at > 0:
        count, at = count + 1, parents[at]
    pieces = np.empty((count + 3, 2))
    pieces[count:] = last
    for k in range(count - 1, -1, -1):
        pieces[k] = _motion(motions[node], rules)
        node = parents[node]
    return pieces[np.abs(pieces[:, 1]) > SHORT]
