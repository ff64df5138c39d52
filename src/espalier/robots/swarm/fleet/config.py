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
"""Time of a stop, relative to that of a constant deceleration: see `brake`."""
Method = Literal["registration", "goal", "leader", "rigid", "graph", "sparse"]
View = Literal["top", "front", "side", "3d"]


class CommsConfig(Config):
    """Delay, loss and range of messages."""

    delay_s: NonNegativeFloat = 0.05
    """Delay from the sender to a receiver."""
    jitter_s: NonNegativeFloat = 0.0
    """Largest additional delay, drawn for each message."""
    loss: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Probability that a receiver does not get a message."""
    range_m: PositiveFloat | None = None
    """Receivers farther away get no message; None for no limit."""


class FailureConfig(Config):
    """A failure of some of the vehicles."""

    kind: Literal["freeze", "drift", "crash", "lie", "late"] = "freeze"
    """freeze: hovers and reports it. drift: flies off slowly and reports it. crash: disappears without a message. lie:
    flies on but sends a false path. late: joins at `at_s` and hovers until then."""
    share: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of all vehicles that fail, drawn by the seed."""
    vehicles: tuple[NonNegativeInt, ...] = ()
    """Numbers of the vehicles that fail, instead of a share."""
    at_s: NonNegativeFloat = 6.0
    """Time at which the failure begins."""
    until_s: PositiveFloat | None = None
    """Time at which the failure ends and the vehicle flies again; None for never."""

    @model_validator(mode="after")
    def _is_of_some(self) -> FailureConfig:
        if self.vehicles and "share" in self.model_fields_set:
            raise ValueError("share: a failure has either a share or a list of vehicles; leave one of them out")
        return self

    @model_validator(mode="after")
    def _can_end(self) -> FailureConfig:
        if self.until_s is not None and self.kind in ("crash", "late"):
            raise ValueError(f"until_s: a failure of kind {self.kind!r} has no end time; leave it out")
        if self.until_s is not None and self.until_s <= self.at_s:
            raise ValueError(f"until_s: {self.until_s:g} is not after at_s, {self.at_s:g}")
        return self


class PolicyConfig(Config):
    """Reaction to vehicles that have left the formation."""

    stuck: Literal["go_on", "wait"] = "go_on"
    """go_on: no vehicle waits. wait: all vehicles wait at the formation's current position for a lost vehicle that
    still sends messages and is behind, until it is back, for at most `wait_s`."""
    wait_s: PositiveFloat = 10.0
    """Longest wait for a lost vehicle."""
    lost_s: PositiveFloat = 3.0
    """A vehicle that has been out or silent for this time is lost."""
    remap_share: float | None = Field(default=0.1, ge=0.0, lt=1.0)
    """If more than this share of all vehicles is lost, the slots are assigned anew. None for never. A line, grid, cube,
    hexagon, prism or octahedron keeps its central slots; any other shape is thinned evenly."""


class PlannerConfig(Config):
    """How a vehicle plans."""

    method: Method = "registration"
    """registration: FLIP, by `register_by`. goal: no formation. leader: an offset from vehicle 0. rigid: a body that
    does not turn, moved to the mean of all. graph: Swarm-Formation, the distances among all vehicles heard within
    `register_by.stale_s`, without rejection. sparse: the same with some of the distances, see `edge_share`."""
    edge_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of the pairs of vehicles whose distance counts for the method sparse. They are drawn by the seed, the same
    for all vehicles, at least four for each."""
    replan_s: PositiveFloat = 0.5
    """Time between two plans of a vehicle."""
    horizon_s: PositiveFloat = 4.0
    """Horizon of a plan."""
    samples: PositiveInt = 20
    """Number of times in the horizon at which the formation is registered."""
    near_m: PositiveFloat = 4.0
    """Only vehicles that come nearer to a path than this are avoided."""
    neighbours: PositiveInt = 12
    """Largest number of vehicles that a plan avoids."""
    gone_s: PositiveFloat | None = 6.0
    """A vehicle that has been silent for this time is no longer an obstacle. Until then it is assumed to hover where it
    would have been after three seconds. None for never."""
    pace: float = Field(default=0.8, gt=0.0, le=1.0)
    """Speed of a vehicle at its place in the formation, as a share of the speed limit. Vehicles behind their place may
    use the full limit."""
    alone_s: PositiveFloat = 3.0
    """If the registration has had too few inliers for this time, a vehicle flies to its goal alone."""
    stall_s: PositiveFloat | None = 4.0
    """A vehicle that has come no nearer to its goal for this time (method registration) flies alone for the same time,
    and for twice as long the next time. None for never."""
    safe_s: PositiveFloat = 1.5
    """A plan that is safe for a shorter time is not flown."""
    doubt_mps: NonNegativeFloat = 0.1
    """For each second of age of another vehicle's last message, a plan keeps this distance in addition, and is checked
    one second longer than `safe_s`, up to the end of the horizon."""
    tell_s: PositiveFloat | None = 0.1
    """Interval at which a vehicle sends its path again between two plans, because messages get lost. It then checks the
    path against new messages, and plans at once if it is not safe. None for never."""
    register_by: RegisterConfig = RegisterConfig()
    """The registration."""
    policy: PolicyConfig = PolicyConfig()
    """Reaction to vehicles that leave the formation; only the method `registration` notices them."""
    trajectory: TrajectoryConfig = TrajectoryConfig()
    """The trajectory."""

    @property
    def stop_s(self) -> float:
        """Time of an emergency stop from full speed."""
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
                f"near_m: two vehicles that meet come {step_m:.2g} m nearer between two samples of the horizon, so it "
                f"has to be at least {nearest:.2g} m, not {self.near_m:g}"
            )
        return self

    @model_validator(mode="after")
    def _can_stop(self) -> PlannerConfig:
        limits = self.trajectory.limits
        least = self.replan_s + self.stop_s
        if self.safe_s < least - 1e-9:
            raise ValueError(
                f"safe_s: {self.safe_s:g} s is too short to plan once more and to stop from {limits.speed_mps:g} m/s "
                f"at {limits.accel_mps2:g} m/s^2; that takes {least:g} s"
            )
        return self


class ActConfig(Config):
    """Another formation, from a given time on."""

    at_s: PositiveFloat
    """Time at which it begins."""
    shape: Shape
    """Shape of the formation."""
    spacing_m: PositiveFloat = 2.0
    """Distance between neighbouring slots."""
    goal: tuple[float, float, float]
    """Centre of the formation, x, y, z."""


class FlightConfig(Config):
    """A formation flies from one place to another."""

    n: PositiveInt = 120
    """Number of vehicles."""
    shape: Shape = "grid"
    """Shape of the formation."""
    spacing_m: PositiveFloat = 2.0
    """Distance between neighbouring slots."""
    start: tuple[float, float, float] = (-22.5, 0.0, 1.5)
    """Centre of the formation at the beginning, x, y, z."""
    goal: tuple[float, float, float] = (22.5, 0.0, 1.5)
    """Centre of the formation at the end, x, y, z."""
    scatter_m: NonNegativeFloat = 0.0
    """Largest distance of a vehicle from its slot at the beginning."""
    acts: tuple[ActConfig, ...] = ()
    """Formations after the first, in order of time. Slots are assigned so that the ways are short."""
    seconds: PositiveFloat = 30.0
    """Duration of the flight."""
    success_share: float = Field(default=0.9, ge=0.0, le=1.0)
    """Share of the slots that must be filled at the end for a success. In the published tests a tenth of the vehicles
    fail. A word of up to nine letters that lost one letter is below the default."""
    world: WorldConfig = OpenConfig(length_m=60.0, width_m=34.0)
    """The obstacles."""
    comms: CommsConfig = CommsConfig()
    """Messages."""
    failures: tuple[FailureConfig, ...] = ()
    """Failures of vehicles."""
    planner: PlannerConfig = PlannerConfig()
    """How vehicles plan."""
    film_every_s: PositiveFloat = 0.2
    """Time between two pictures of the film."""
    film_view: Literal["auto"] | View = "auto"
    """auto: front if the formations stand upright, as texts do; else top."""
    film_mp4: bool = False
    """Also write a flight.mp4 beside the flight.gif."""

    @model_validator(mode="after")
    def _in_order(self) -> FlightConfig:
        times = [act.at_s for act in self.acts]
        if times != sorted(set(times)):
            raise ValueError(f"acts: their times are {times}; give each act a later time than the one before")
        if times and times[-1] >= self.seconds:
            raise ValueError(f"acts: the last begins at {times[-1]:g} s, but the flight ends at {self.seconds:g} s")
        named = [one for failure in self.failures for one in failure.vehicles]
        if len(set(named)) < len(named) or any(one >= self.n for one in named):
            raise ValueError(f"failures: vehicles {sorted(named)} must be different numbers from 0 to {self.n - 1}")
        if (share := sum(one.share for one in self.failures if not one.vehicles) + len(named) / self.n) > 1.0 + 1e-9:
            raise ValueError(f"failures: their shares add up to {share:g}, which is more than all")
        return self
