"""Settings of the map. Lengths are metres, times seconds; what the paper leaves open is ours and says so."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config

LETHAL_COST = 0.5
"""Cells of this cost or more are obstacles, unless a plan or a file of a map says otherwise."""


class Section(Config):
    """Numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class WindowConfig(Section):
    """The square around the robot that an update maps."""

    size_m: PositiveFloat = 5.0
    """Side of the window."""
    cell_m: PositiveFloat = 0.2
    """Side of a cell."""

    @model_validator(mode="after")
    def _sensible(self) -> WindowConfig:
        if self.size_m < self.cell_m:
            raise ValueError(f"size_m: a window of {self.size_m:g} m holds no cell of {self.cell_m:g} m")
        return self


class FeatureConfig(Section):
    """Curvature and height gradient of each point, from its neighbours."""

    neighbours: int = Field(default=20, ge=4)
    """Nearest points that make a neighbourhood, the point itself among them."""
    curvature: NonNegativeFloat = 0.03
    """Points of more curvature are features."""
    step_m: NonNegativeFloat = 0.03
    """Points whose neighbours differ more in height are features."""


class InducingConfig(Section):
    """Which points the Gaussian process is conditioned on."""

    count: PositiveInt = 500
    """At most so many."""
    voxel_m: PositiveFloat = 0.3
    """Points that are no features are averaged over voxels of this side."""
    key_voxel_m: NonNegativeFloat = 0.1
    """Features are averaged over smaller voxels; 0 keeps each."""


class GpConfig(Section):
    """The Gaussian process of the ground's height over x, y, curvature and step. All defaults are ours."""

    kernel: Literal["rational_quadratic", "rbf", "matern32", "matern52"] = "rational_quadratic"
    """Covariance function."""
    length_m: PositiveFloat = 2.5
    """Length scale of x and y."""
    length_curvature: PositiveFloat = 0.3
    """Length scale of curvature."""
    length_step_m: PositiveFloat = 0.5
    """Length scale of steps."""
    alpha: PositiveFloat = 0.2
    """Of the rational quadratic: the smaller, the more scales are mixed; a large one is the RBF."""
    std_m: PositiveFloat = 0.4
    """Prior standard deviation of the height around its median."""
    noise_m: PositiveFloat = 0.02
    """Standard deviation of a measured height."""
    neighbours: PositiveInt = 5
    """Inducing points from which a cell's curvature and step are interpolated."""
    reach_m: PositiveFloat = 0.5
    """Cells farther from every measured point are not observed."""


class CostConfig(Section):
    """The preliminary cost: a weighted mean of three terms, each clipped to 0..1 over the range given."""

    curvature_weight: NonNegativeFloat = 0.3
    """Of curvature; weights are divided by their sum."""
    step_weight: NonNegativeFloat = 0.3
    """Of the height gradient."""
    slope_weight: NonNegativeFloat = 0.2
    """Of the slope."""
    curvature: PositiveFloat = 0.1
    """Curvature that counts 1."""
    step_m: PositiveFloat = 0.1
    """Height gradient that counts 1."""
    slope: PositiveFloat = 0.8
    """Slope (rise over run) that counts 1."""
    upright_m: PositiveFloat | None = None
    """Cells whose points lie farther apart in height count 1, before fusion and smoothing: walls and trunks, whose
    neighbours all lie on one upright face, so that curvature and step say little. None for the cost as published."""

    @model_validator(mode="after")
    def _some_weight(self) -> CostConfig:
        if not self.curvature_weight + self.step_weight + self.slope_weight:
            raise ValueError("slope_weight: the three weights are all 0; give one at least")
        return self

    @property
    def weights(self) -> tuple[float, float, float]:
        """Of curvature, step and slope; their sum is 1."""
        given = (self.curvature_weight, self.step_weight, self.slope_weight)
        return given[0] / sum(given), given[1] / sum(given), given[2] / sum(given)


class FusionConfig(Section):
    """How a new estimate meets what was known of a cell."""

    rule: Literal["precision", "paper", "none"] = "precision"
    """precision: both by their inverse variances (ours). paper: equation as printed, in which the new estimate always
    weighs 1 and the old one hundreds, so that the first freezes. none: the newest alone."""
    decay_per_s: NonNegativeFloat = 0.1
    """Rate at which the weight of what was known falls with its age."""
    floor_share: PositiveFloat = Field(default=0.25, le=1.0)
    """No history counts as more certain than this share of the newest variance: else the map could not change."""
    blur_m: PositiveFloat = 0.2
    """A neighbourhood of radius r multiplies the variance by (1 + (r / blur_m)^2)^2: ground seen from afar is seen
    blurred, and should not outweigh what was seen from near."""
    gate_std_m: PositiveFloat = 0.3
    """An estimate less certain than this is ignored where something is known."""


class SmoothConfig(Section):
    """Smoothing over neighbours that are known."""

    sigma_m: NonNegativeFloat = 0.1
    """Of the fused cost: standard deviation of the Gaussian; 0 for none. Ours."""
    slope_sigma_m: NonNegativeFloat = 0.2
    """Slopes are those of planes fitted to the heights around a cell, weighted by a Gaussian of this width; 0 for
    central differences. Ours."""


class ClockConfig(Section):
    """What to do with stamps and poses that make no sense. Ours."""

    late_s: NonNegativeFloat = 5.0
    """A scan older than the newest by no more than this came late and is left out; an older one means that the clock
    went back: the map is kept and its ages begin anew."""
    forget_s: PositiveFloat = 600.0
    """What is older than this is no longer known."""
    speed_mps: PositiveFloat = 20.0
    """A pose that moved faster is out of line. If the next one agrees with it the robot is elsewhere than was thought,
    and the map begins anew."""
    slack_m: NonNegativeFloat = 0.5
    """A jump is at least this far."""


class MapperConfig(Section):
    """A traversability map around a robot."""

    window: WindowConfig = WindowConfig()
    """What an update maps."""
    ceiling_m: PositiveFloat | None = None
    """Points higher above the sensor's ground are left out: branches, bridges. Needs `sensor_height_m`."""
    sensor_height_m: NonNegativeFloat = 0.0
    """Of the pose above the ground."""
    drop_outliers: bool = True
    """Whether points that show no surface are left out and counted: a few far above or below all others, and clutter
    that is spread evenly through the air, up to half of all points. Of scans with poses, cells that a later scan sees
    through are forgotten as well. Ours."""
    features: FeatureConfig = FeatureConfig()
    """Curvature and step of points."""
    inducing: InducingConfig = InducingConfig()
    """What the Gaussian process is conditioned on."""
    gp: GpConfig = GpConfig()
    """The Gaussian process."""
    cost: CostConfig = CostConfig()
    """The preliminary cost."""
    fusion: FusionConfig = FusionConfig()
    """Over time."""
    smooth: SmoothConfig = SmoothConfig()
    """Over space."""
    clock: ClockConfig = ClockConfig()
    """Stamps and poses."""
    keep_tiles: PositiveInt = 4096
    """Tiles of 32 x 32 cells in memory; the ones not used for longest go to the tile folder, or are forgotten."""
    min_points: PositiveInt = 30
    """A scan of fewer is left out."""
    seed: NonNegativeInt = 0
    """Of the choice among too many inducing points."""
