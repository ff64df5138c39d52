"""Settings of the registration. Lengths are metres, times seconds; FLIP publishes no values, so all are ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config


class RegisterConfig(Config):
    """How the formation is found from the other agents' messages."""

    method: Literal["ransac", "gnc", "kcore", "least_squares"] = "ransac"
    """How inliers are selected. ransac: the best of many triples. gnc: graduated non-convexity. kcore: the densest
    consistent core. least_squares: all agents are inliers."""
    hypotheses: PositiveInt = 48
    """Triples that RANSAC draws, up to four times as many if there are few inliers. Every method uses them to search
    for a second, competing result."""
    yaw_only: bool = False
    """The formation turns about the vertical axis only."""
    scale_min: PositiveFloat = 0.7
    """The formation never shrinks to less."""
    scale_max: PositiveFloat = 1.3
    """The formation never grows to more; equal to `scale_min` for a fixed size."""
    spacing_share: PositiveFloat = 0.5
    """An agent is an outlier if its distance from its slot is more than this share of the slots' spacing, and more than
    `deviations`."""
    deviations: NonNegativeFloat = 3.0
    """Allowed distance of an inlier, in robust standard deviations (1.48 times the median distance of the inliers)."""
    stale_s: PositiveFloat = 1.5
    """An agent whose last message is older is left out. It is an inlier again, if it was one, with its next message."""
    readmit_share: float = Field(default=0.7, gt=0.0, le=1.0)
    """An outlier becomes an inlier again if its distance stays within this share of the limit for `readmit_s`."""
    readmit_s: NonNegativeFloat = 1.0
    """See `readmit_share`."""
    least_inliers: PositiveInt = 4
    """With fewer inliers the last result is kept. In a very small swarm the number is all agents but one."""
    least_share: float = Field(default=0.25, ge=0.0, le=1.0)
    """If the inliers are a smaller share of the agents heard, the last result is kept."""
    rival_share: float = Field(default=0.5, gt=0.0, le=1.0)
    """The result is ambiguous if this many outliers for each inlier agree on another place of the formation."""
    majority: float = Field(default=0.6, ge=0.0, le=1.0)
    """The result is also ambiguous if the inliers are a smaller share of the agents heard."""
    smoothing: NonNegativeFloat = 1.0
    """Weight of a smooth change of scale and rotation over the horizon, against the fit of each sample; 0 for none."""

    @model_validator(mode="after")
    def _sensible(self) -> RegisterConfig:
        if self.scale_max < self.scale_min:
            raise ValueError(f"scale_max: {self.scale_max:g} is less than scale_min, {self.scale_min:g}")
        return self
