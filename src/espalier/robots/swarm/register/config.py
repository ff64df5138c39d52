"""Settings of the registration. Lengths are metres, times seconds; FLIP publishes no values, so all are ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config


class RegisterConfig(Config):
    """How the formation is found among the other agents' messages."""

    method: Literal["ransac", "gnc", "kcore", "least_squares"] = "ransac"
    """Who is believed: the best of many triples, graduated non-convexity, the densest consistent core, or everybody."""
    hypotheses: PositiveInt = 48
    """Triples that RANSAC draws, up to four times as many where few agree; a rival is sought so by every method."""
    yaw_only: bool = False
    """The formation turns about the vertical alone."""
    scale_min: PositiveFloat = 0.7
    """The formation never shrinks to less."""
    scale_max: PositiveFloat = 1.3
    """The formation never grows to more; equal to `scale_min` for a fixed size."""
    spacing_share: PositiveFloat = 0.5
    """An agent is out beyond this share of the slots' spacing from its slot, or beyond `deviations`."""
    deviations: NonNegativeFloat = 3.0
    """Robust standard deviations (1.48 times the median) of the inliers' distances that an agent may be away."""
    stale_s: PositiveFloat = 1.5
    """An agent whose message is older is out, and in again with the next if it was before."""
    readmit_share: float = Field(default=0.7, gt=0.0, le=1.0)
    """An agent that is out comes back once it is within this share of the limit..."""
    readmit_s: NonNegativeFloat = 1.0
    """...for so long."""
    least_inliers: PositiveInt = 4
    """With fewer the last result is held; in a swarm so small that fewer could be, all but one."""
    least_share: float = Field(default=0.25, ge=0.0, le=1.0)
    """With a smaller share of the agents heard the last result is held."""
    rival_share: float = Field(default=0.5, gt=0.0, le=1.0)
    """The result is ambiguous where other agents, this many for each inlier, agree on another place."""
    majority: float = Field(default=0.6, ge=0.0, le=1.0)
    """The result is ambiguous, too, where a smaller share of the agents heard agrees with it."""
    smoothing: NonNegativeFloat = 1.0
    """How much evenly changing scale and rotation over the horizon count against fitting each sample; 0 for not."""

    @model_validator(mode="after")
    def _sensible(self) -> RegisterConfig:
        if self.scale_max < self.scale_min:
            raise ValueError(f"scale_max: {self.scale_max:g} is less than scale_min, {self.scale_min:g}")
        return self
