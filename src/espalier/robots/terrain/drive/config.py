"""Settings of a drive."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from espalier.core.config import Config
from espalier.robots.terrain.cloud.lidar import LidarConfig
from espalier.robots.terrain.config import CostConfig, MapperConfig
from espalier.robots.terrain.plan.config import FollowConfig, PlanConfig
from espalier.robots.terrain.scenes.config import SceneConfig


class Obstacle(Config):
    """A box that is put on the ground while the robot drives: the map changes under it."""

    x_m: float
    """Of its middle."""
    y_m: float
    """Of its middle."""
    side_m: PositiveFloat = 0.6
    """Of its square base."""
    height_m: PositiveFloat = 0.8
    """Of the box."""
    from_s: NonNegativeFloat = 0.0
    """When it comes."""
    to_s: PositiveFloat = 1e9
    """When it goes."""


class DriveConfig(Config):
    """A robot that knows nothing but its pose drives to a goal over a cloud, mapping as it goes."""

    ground: str | SceneConfig = "forest.pcd"
    """A cloud, here or in the data root's `terrain`, or a scene to generate."""
    start: tuple[float, float, float] = (-4.0, -4.0, 0.8)
    """x, y (metres) and yaw (radians)."""
    goal: tuple[float, float] = (4.0, 4.0)
    """x and y, metres."""
    obstacles: tuple[Obstacle, ...] = ()
    """Boxes that come and go."""
    seconds: PositiveFloat = 120.0
    """The drive is given up after so many."""
    sensor_height_m: PositiveFloat = 0.6
    """Of the sensor above the ground."""
    look_m: PositiveFloat = 3.0
    """So much of the route ahead is checked against the map after every scan."""
    replan_s: PositiveFloat = 2.0
    """A route is planned anew at least so often, as more of the ground is known."""
    spin_rad_s: PositiveFloat = 1.5
    """How fast it turns on the spot."""
    gif_every: PositiveInt = 3
    """Scans from one frame of the animation to the next."""
    gif_fps: PositiveFloat = Field(default=10.0, le=50.0)
    """Frames a second of the animation."""
    lidar: LidarConfig = LidarConfig()
    """The simulated sensor."""
    mapper: MapperConfig = MapperConfig(cost=CostConfig(upright_m=0.3))
    """The map."""
    plan: PlanConfig = PlanConfig(
        unknown="cost",
        radius_m=0.25,
        clearance_m=0.1,
        lethal_cost=0.55,
        max_slope=1.0,
        follow=FollowConfig(goal_m=0.2),
    )
    """The planner and the follower."""
