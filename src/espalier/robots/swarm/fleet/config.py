"""Settings of a flight in formation. Lengths are metres, times seconds. All defaults are ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config
from espalier.robots.swarm.formation.config import Shape
from espalier.robots.swarm.register.config import RegisterConfig
from espalier.robots.swarm.traj.config import TrajectoryConfig
from espalier.robots.swarm.world.config import OpenConfig, WorldConfig

STOP = 1.5
"""Seconds to stop, for each second that a constant deceleration would take: see `brake`."""
Method = Literal["registration", "goal", "leader", "rigid", "graph", "sparse"]
View = Literal["top", "front", "side", "3d"]


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
    vehicles: tuple[NonNegativeInt, ...] = ()
    """Or these, by their numbers, instead of a share."""
    at_s: NonNegativeFloat = 6.0
    """When it happens."""
    until_s: PositiveFloat | None = None
    """When it is over and the vehicle flies again; None for never."""

    @model_validator(mode="after")
    def _is_of_some(self) -> FailureConfig:
        if self.vehicles and "share" in self.model_fields_set:
            raise ValueError("share: a failure is of these vehicles or of a share of all; leave one of them out")
        return self

    @model_validator(mode="after")
    def _can_end(self) -> FailureConfig:
        if self.until_s is not None and self.kind in ("crash", "late"):
            raise ValueError(f"until_s: a vehicle that is {self.kind!r} is not so until a time; leave it out")
        if self.until_s is not None and self.until_s <= self.at_s:
            raise ValueError(f"until_s: {self.until_s:g} is not after at_s, {self.at_s:g}")
        return self


class PolicyConfig(Config):
    """What vehicles do about others that have fallen out of the formation."""

    stuck: Literal["go_on", "wait"] = "go_on"
    """go_on: nobody stays for them. wait: all stay where the formation is for a lost one that still speaks and is
    behind, until it is back, but no longer than `wait_s`."""
    wait_s: PositiveFloat = 10.0
    """For a vehicle that is lost, at most."""
    lost_s: PositiveFloat = 3.0
    """Out for so long, it is lost."""
    remap_share: float | None = Field(default=0.1, ge=0.0, lt=1.0)
    """When more than this share of all are lost, the others close ranks: slots are allotted anew. None for never. A
    line, grid, cube, hexagon, prism or octahedron keeps the slots in its middle; any other shape is thinned evenly."""


class PlannerConfig(Config):
    """How a vehicle plans."""

    method: Method = "registration"
    """registration: FLIP, by `register_by`. goal: no formation. leader: an offset from vehicle 0. rigid: a body that
    does not turn, moved to the mean of all. graph: Swarm-Formation, the distances among all that were heard within
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
    """Others that come no nearer to a path are not kept clear of."""
    neighbours: PositiveInt = 12
    """At most so many are."""
    gone_s: PositiveFloat | None = 6.0
    """Who was silent for so long is taken to be gone, and no obstacle any more; until then it hovers where it would
    have been after three seconds. None for never."""
    pace: float = Field(default=0.8, gt=0.0, le=1.0)
    """Of the limit of speed: how fast a vehicle flies in its place in a formation; the rest is for those that fell
    behind it."""
    alone_s: PositiveFloat = 3.0
    """Where the registration has not been sure for so long, a vehicle flies to its goal alone."""
    stall_s: PositiveFloat | None = 4.0
    """Who has come no nearer to its goal for so long, in formation by the method registration, goes on alone for as
    long; the next time for twice as long. None for never."""
    safe_s: PositiveFloat = 1.5
    """A plan that is safe for less is not flown."""
    doubt_mps: NonNegativeFloat = 0.1
    """Plans keep farther from another vehicle by so much for each second that what was heard of it is old, and look at
    it for so much longer than `safe_s`; for no more seconds than are left of the horizon then."""
    tell_s: PositiveFloat | None = 0.1
    """Between two plans a vehicle tells its path again so often, as messages get lost; it looks then whether that is
    safe still, by the news that has come, and else plans at once. None for never."""
    register_by: RegisterConfig = RegisterConfig()
    """The registration."""
    policy: PolicyConfig = PolicyConfig()
    """What is done about those that fall out; methods other than `registration` do not notice them."""
    trajectory: TrajectoryConfig = TrajectoryConfig()
    """The trajectory."""

    @property
    def stop_s(self) -> float:
        """What an emergency stop from full speed takes."""
        return STOP * self.trajectory.limits.speed_mps / self.trajectory.limits.accel_mps2

    @model_validator(mode="after")
    def _looks_far(self) -> PlannerConfig:
        limits = self.trajectory.limits
        if self.horizon_s < self.safe_s:
            raise ValueError(f"horizon_s: {self.horizon_s:g} is less than safe_s, {self.safe_s:g}")
        step_m = 2.0 * limits.speed_mps * self.horizon_s / max(self.samples - 1, 1)
        doubt_m = self.doubt_mps * (self.horizon_s - self.safe_s)
        if self.near_m < (nearest := limits.separation_m * limits.separation_factor + step_m + doubt_m):
            raise ValueError(
                f"near_m: two that meet come {step_m:.2g} m nearer between two of the horizon's samples, so others are "
                f"to be looked at from {nearest:.2g} m on, not {self.near_m:g}"
            )
        return self

    @model_validator(mode="after")
    def _can_stop(self) -> PlannerConfig:
        limits = self.trajectory.limits
        least = self.replan_s + self.stop_s
        if self.safe_s < least - 1e-9:
            raise ValueError(
                f"safe_s: {self.safe_s:g} s are too few to plan once more and to stop from {limits.speed_mps:g} m/s at "
                f"{limits.accel_mps2:g} m/s^2; that takes {least:g}"
            )
        return self


class ActConfig(Config):
    """Another formation, from a time on."""

    at_s: PositiveFloat
    """When it begins."""
    shape: Shape
    """Of the formation."""
    spacing_m: PositiveFloat = 2.0
    """Between neighbours in it."""
    goal: tuple[float, float, float]
    """Its middle, x, y, z."""


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
    acts: tuple[ActConfig, ...] = ()
    """Formations after the first, in order of time. Each vehicle gets the slot that lies well for it."""
    seconds: PositiveFloat = 30.0
    """Of the flight."""
    success_share: float = Field(default=0.9, ge=0.0, le=1.0)
    """Of the slots that are to be filled in the end for a success. Of the published tests a tenth fails; and a word of
    up to nine letters has less left when it lost one."""
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
    film_view: Literal["auto"] | View = "auto"
    """auto: front where the formations stand upright, as texts do; else top."""
    film_mp4: bool = False
    """Whether there is a flight.mp4 beside the flight.gif."""

    @model_validator(mode="after")
    def _in_order(self) -> FlightConfig:
        times = [act.at_s for act in self.acts]
        if times != sorted(set(times)):
            raise ValueError(f"acts: they begin at {times}, which is not one after the other")
        if times and times[-1] >= self.seconds:
            raise ValueError(f"acts: the last begins at {times[-1]:g} s, and the flight ends at {self.seconds:g}")
        named = [one for failure in self.failures for one in failure.vehicles]
        if len(set(named)) < len(named) or any(one >= self.n for one in named):
            raise ValueError(f"failures: vehicles {sorted(named)} are not different ones of 0 to {self.n - 1}")
        if (share := sum(one.share for one in self.failures if not one.vehicles) + len(named) / self.n) > 1.0 + 1e-9:
            raise ValueError(f"failures: their shares add up to {share:g}, which is more than all")
        return self
