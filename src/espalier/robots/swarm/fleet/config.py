"""Settings of a flight in formation. Lengths are metres, times seconds. All defaults are ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from espalier.core.config import Config
from espalier.robots.swarm.register.config import RegisterConfig
from espalier.robots.swarm.traj.config import TrajectoryConfig
from espalier.robots.swarm.world.config import OpenConfig, WorldConfig

Shape = Literal["line", "ring", "grid", "cube", "hexagon", "sphere", "prism", "octahedron"]
Method = Literal["registration", "goal", "leader", "rigid", "graph", "sparse"]


class CommsConfig(Config):
    """What messages suffer on their way."""

    delay_s: NonNegativeFloat = 0.05
    """From the sender to a receiver."""
    jitter_s: NonNegativeFloat = 0.0
    """The delay is longer by up to this, for each message."""
    loss: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Chance that a receiver does not get a message."""
    range_m: PositiveFloat | None = None
    """Receivers farther away get none; None for no limit."""


class FailureConfig(Config):
    """What befalls some of the vehicles."""

    kind: Literal["freeze", "drift", "crash", "lie", "late"] = "freeze"
    """freeze: hovers and says so. drift: flies off slowly and says so. crash: is gone, silently. lie: flies on and
    tells of another path. late: joins at `at_s` and hovers until then."""
    share: float = Field(default=0.1, ge=0.0, le=1.0)
    """Of all vehicles, drawn by the seed."""
    at_s: NonNegativeFloat = 6.0
    """When it happens."""


class PlannerConfig(Config):
    """How a vehicle plans."""

    method: Method = "registration"
    """registration: FLIP, by `register.method`. goal: no formation. leader: an offset from vehicle 0. rigid: a body
    that does not turn, moved to the mean of all. graph: Swarm-Formation, the distances among all that were heard within
    `register_by.stale_s`, none of them rejected. sparse: the same of some distances, see `edge_share`."""
    edge_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Of the pairs of vehicles, those whose distance counts for the method sparse: drawn by the seed, the same for all,
    at least four for each vehicle."""
    replan_s: PositiveFloat = 0.5
    """Between two plans of a vehicle."""
    horizon_s: PositiveFloat = 4.0
    """A plan looks so far."""
    samples: PositiveInt = 20
    """Moments of the horizon at which the formation is registered."""
    near_m: PositiveFloat = 4.0
    """Others that come no nearer are not kept clear of."""
    neighbours: PositiveInt = 12
    """At most so many are."""
    safe_s: PositiveFloat = 1.5
    """A plan that is safe for less is not flown."""
    register_by: RegisterConfig = RegisterConfig()
    """The registration."""
    trajectory: TrajectoryConfig = TrajectoryConfig()
    """The trajectory."""


class FlightConfig(Config):
    """A formation flies from one place to another."""

    n: PositiveInt = 120
    """Vehicles."""
    shape: Shape = "grid"
    """Of the formation."""
    spacing_m: PositiveFloat = 2.0
    """Between neighbours in it."""
    start: tuple[float, float, float] = (-22.5, 0.0, 1.5)
    """Middle of the formation at the beginning, x, y, z."""
    goal: tuple[float, float, float] = (22.5, 0.0, 1.5)
    """And at the end."""
    scatter_m: NonNegativeFloat = 0.0
    """Vehicles begin so far from their slots, at most."""
    seconds: PositiveFloat = 30.0
    """Of the flight."""
    world: WorldConfig = OpenConfig(length_m=60.0, width_m=34.0)
    """What is in the way."""
    comms: CommsConfig = CommsConfig()
    """Messages."""
    failures: tuple[FailureConfig, ...] = ()
    """What goes wrong."""
    planner: PlannerConfig = PlannerConfig()
    """How vehicles plan."""
    film_every_s: PositiveFloat = 0.2
    """Between two pictures of the film."""
