"""Settings of a plan. Lengths are metres, angles radians, times seconds. All defaults are ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config
from espalier.robots.terrain.config import LETHAL_COST


class HybridConfig(Config):
    """Of the search with a turning radius (`method: hybrid`)."""

    turning_radius_m: PositiveFloat = 1.0
    """No curve is tighter."""
    step_m: PositiveFloat | None = None
    """Length of one motion, more than a cell's diagonal; None for one and a half cells."""
    headings: PositiveInt = Field(default=72, ge=8)
    """Directions that are told apart at a cell."""
    allow_reverse: bool = False
    """Whether the robot may drive backwards."""
    reverse_factor: float = Field(default=2.0, ge=1.0)
    """A metre backwards counts as so many."""
    cusp_m: NonNegativeFloat = 1.0
    """A change between forwards and backwards counts as so many metres of easy ground."""
    turn_penalty: NonNegativeFloat = 0.05
    """Share by which a metre in a curve counts more than a straight one."""
    bound: float = Field(default=1.1, ge=1.0)
    """A route is good enough that costs no more than this times the search's estimate of the least."""
    max_poses: PositiveInt = 500_000
    """The search gives up after so many."""


class SmoothingConfig(Config):
    """Of the route over cells. A route of `method: hybrid` is left as it is: smoothing could break its radius."""

    on: bool = True
    """Whether to smooth."""
    length_m: PositiveFloat = 0.5
    """Bends shorter than about this are smoothed away."""
    slack: NonNegativeFloat = 0.02
    """Share by which a straight piece may cost more than the cells that it replaces."""


class FollowConfig(Config):
    """Limits of the robot's motion, and of the controller that keeps it on the route."""

    speed_mps: PositiveFloat = 1.0
    """Greatest speed."""
    accel_mps2: PositiveFloat = 0.5
    """Greatest acceleration along the route, and braking."""
    lateral_mps2: PositiveFloat = 0.5
    """Greatest acceleration across the route: curves are driven more slowly."""
    creep_mps: PositiveFloat = 0.1
    """Speed at which the robot sets off, and comes in at the goal."""
    max_curvature: PositiveFloat = 2.0
    """Greatest curvature commanded, 1/m."""
    lookahead_m: PositiveFloat = 0.8
    """Distance along the route to the point steered at, at full speed."""
    least_lookahead_m: PositiveFloat = 0.3
    """The same at a crawl."""
    goal_m: PositiveFloat = 0.1
    """The robot has arrived at this distance."""

    @model_validator(mode="after")
    def _ordered(self) -> FollowConfig:
        if self.creep_mps > self.speed_mps:
            raise ValueError(f"creep_mps: {self.creep_mps:g} is more than speed_mps, {self.speed_mps:g}")
        if self.least_lookahead_m > self.lookahead_m:
            raise ValueError(f"least_lookahead_m: {self.least_lookahead_m:g} is more than lookahead_m")
        return self


class PlanConfig(Config):
    """A route over a traversability map."""

    method: Literal["astar", "hybrid"] = "astar"
    """astar: over cells, for a robot that turns on the spot; it takes no notice of headings. hybrid: over poses, for
    one with a turning radius."""
    radius_m: NonNegativeFloat = 0.3
    """Of the robot's footprint, a disc."""
    clearance_m: NonNegativeFloat = 0.0
    """Kept free around the footprint."""
    lethal_cost: float = Field(default=LETHAL_COST, gt=0.0)
    """Cells of this cost or more are obstacles; an upright face that a lidar sees costs 0.5 to 0.8."""
    max_slope: PositiveFloat | None = 1.0
    """Cells of more slope (rise over run) are obstacles; None for no limit. Upright faces are found by this."""
    cost_weight: NonNegativeFloat = 3.0
    """A metre over ground of cost M counts as 1 + cost_weight * M."""
    unknown: Literal["lethal", "optimistic", "cost"] = "lethal"
    """What cells without a cost are. lethal: obstacles. optimistic: of cost 0. cost: of `unknown_cost`."""
    unknown_cost: NonNegativeFloat = 0.3
    """Cost of an unknown cell where `unknown` is cost; an obstacle from `lethal_cost` on, as any other."""
    hybrid: HybridConfig = HybridConfig()
    """The search with a turning radius."""
    smoothing: SmoothingConfig = SmoothingConfig()
    """The route over cells made smooth."""
    follow: FollowConfig = FollowConfig()
    """Speeds, and the follower."""
