"""One agent's plan: the trajectory of least cost from a first guess, by L-BFGS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from espalier.robots.swarm.traj.config import TrajectoryConfig
from espalier.robots.swarm.traj.graph_metric import NOBODY, Graph
from espalier.robots.swarm.traj.minco import Minco
from espalier.robots.swarm.traj.neighbours import Neighbours
from espalier.robots.swarm.traj.objective import Task, objective, unpacked
from espalier.robots.swarm.traj.penalties import Around, Places, Terms
from espalier.robots.swarm.traj.quintic import Floats
from espalier.robots.swarm.traj.timemap import from_durations
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.esdf import DistanceField

NOWHERE = Places(np.empty(0), np.empty((0, 3)))


@dataclass(frozen=True)
class Problem:
    """start_s: when the plan begins. head, tail: (3, 3) position, velocity, acceleration at its begin and its end.
    waypoints, durations: (m - 1, 3) and (m,), the first guess. field, others: what to keep clear of. places: where the
    formation wants the vehicle and when, or the graph that it should form; None to fly alone. free_tail: whether the
    plan may end elsewhere and at another velocity, at a price. speed_mps: how fast at most, rather than by the limits.
    """

    start_s: float
    head: Floats
    tail: Floats
    waypoints: Floats
    durations: Floats
    field: DistanceField
    others: Neighbours
    places: Places | Graph | None = None
    free_tail: bool = False
    speed_mps: float | None = None


@dataclass(frozen=True)
class Plan:
    """cost: effort and penalties. iterations, evaluations: of the optimiser. finite: False where the optimiser failed,
    and the trajectory is the first guess.
    """

    trajectory: Trajectory
    cost: float
    iterations: int
    evaluations: int
    finite: bool


class Optimiser:
    """Plans one agent's trajectory at a time. It holds no state: one may serve many agents.

    The minimiser is SciPy's L-BFGS-B. The problem is so small that threads of its linear algebra only wait for each
    other, so they are switched off meanwhile.
    """

    def __init__(self, config: TrajectoryConfig) -> None:
        self.config = config
        self._terms = Terms.of(config.limits, config.weights)
        self._threads = ThreadpoolController()

    def plan(self, problem: Problem) -> Plan:
        """The least cost found; a local one, in the homotopy class of the first guess or near it."""
        solver, task = self.config.solver, self._task(problem)
        parts = [problem.waypoints.ravel(), from_durations(problem.durations)]
        first = np.concatenate([*parts, problem.tail[:2].ravel()] if problem.free_tail else parts)
        options = {
            "maxcor": solver.memory,
            "maxiter": solver.iterations if problem.places is None else solver.formation_iterations,
            "ftol": solver.tolerance,
            "gtol": 0.0,
        }
        with self._threads.limit(limits=1, user_api="blas"):
            found = minimize(objective, first, (task,), method="L-BFGS-B", jac=True, options=options)
        finite = bool(np.isfinite(found.fun) and np.isfinite(found.x).all())
        waypoints, durations, tail = unpacked(found.x if finite else first, task)
        trajectory = Minco(problem.head, tail, waypoints, durations).trajectory(problem.start_s)
        return Plan(trajectory, float(found.fun), int(found.nit), int(found.nfev), finite)

    def _task(self, problem: Problem) -> Task:
        solver, wanted = self.config.solver, problem.places
        until = problem.start_s + solver.formation_share * problem.durations.sum()
        places, graph = NOWHERE, NOBODY
        if isinstance(wanted, Graph):
            graph = wanted._replace(times=wanted.times[wanted.times <= until])
        elif wanted is not None:
            counts = wanted.times <= until
            places = Places(wanted.times[counts], np.ascontiguousarray(wanted.points[counts]))
        terms = self._terms if problem.speed_mps is None else self._terms._replace(speed=problem.speed_mps)
        around = Around(problem.start_s, solver.samples, terms, problem.field, problem.others, places, graph)
        goal = self.config.weights.goal
        return Task(problem.head, problem.tail, len(problem.durations), problem.free_tail, goal, around)
