"""Settings of worlds. Lengths are metres; defaults are ours unless a field says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config

Density = Literal["sparse", "medium", "dense"]
POLES_PER_M2: Mapping[Density, float] = {"sparse": 0.04, "medium": 0.08, "dense": 60 / (34 * 15)}
"""The densest is that of the reference scene; the others are ours."""


class _Made(Config):
    """A world that is made. Its middle is at x = y = 0, its ground at z = 0, and it is flown through along x."""

    height_m: PositiveFloat = 3.0
    """Of the obstacles, and of the grid."""
    cell_m: PositiveFloat = 0.1
    """Side of a cell of the distance field."""
    approach_m: NonNegativeFloat = 8.0
    """Free length at either end."""


class OpenConfig(_Made):
    """A field without obstacles."""

    kind: Literal["open"] = "open"
    length_m: PositiveFloat = 34.0
    """Along x."""
    width_m: PositiveFloat = 15.0
    """Along y."""


class ForestConfig(_Made):
    """Upright poles and rings. The defaults are those of the reference scene (Swarm-Formation), but for the tube."""

    kind: Literal["forest"] = "forest"
    length_m: PositiveFloat = 34.0
    """Along x."""
    width_m: PositiveFloat = 15.0
    """Along y."""
    poles: NonNegativeInt = 60
    """How many, from the ground to the top."""
    pole_radius_m: PositiveFloat = 0.5
    """Of a pole."""
    gap_m: NonNegativeFloat = 0.8
    """Poles leave at least this free between each other, and rings between them and poles."""
    rings: NonNegativeInt = 20
    """How many."""
    ring_radius_m: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.2)
    """Least and greatest, from the middle of a ring to the middle of its tube."""
    tube_m: PositiveFloat = 0.1
    """Radius of the tube of a ring."""
    ring_gap_m: NonNegativeFloat = 0.2
    """Rings leave at least this free to poles and other rings."""
    seed: NonNegativeInt = 1
    """Of where everything stands."""

    @classmethod
    def sized(cls, length_m: float, width_m: float, density: Density = "medium", **fields: Any) -> ForestConfig:
        """A forest of another size; of the reference's density if `dense`, with a ring to three poles. fields: further
        ones of this class.
        """
        poles = round(POLES_PER_M2[density] * length_m * width_m)
        return cls.of(**{"length_m": length_m, "width_m": width_m, "poles": poles, "rings": poles // 3, **fields})

    @model_validator(mode="after")
    def _rings_fit(self) -> ForestConfig:
        least, most = self.ring_radius_m
        if least > most:
            raise ValueError(f"ring_radius_m: the least, {least:g}, is more than the greatest, {most:g}")
        if self.rings and 2.0 * (most + self.tube_m) > self.height_m:
            raise ValueError(
                f"height_m: rings of {most + self.tube_m:g} m outer radius need more than {self.height_m:g}"
            )
        return self


class GapConfig(_Made):
    """A wall across the way with one gap in its middle."""

    kind: Literal["gap"] = "gap"
    length_m: PositiveFloat = 20.0
    """Along x; the wall stands in the middle."""
    width_m: PositiveFloat = 20.0
    """Of the wall."""
    gap_m: PositiveFloat = 2.0
    """Of the gap, which is as high as the wall."""
    wall_m: PositiveFloat = 0.5
    """Thickness."""

    @model_validator(mode="after")
    def _is_a_gap(self) -> GapConfig:
        if self.gap_m >= self.width_m:
            raise ValueError(f"gap_m: {self.gap_m:g} leaves nothing of a wall of {self.width_m:g} m")
        return self


class CorridorConfig(_Made):
    """A corridor along x that turns to the left, into y, by a right angle."""

    kind: Literal["corridor"] = "corridor"
    length_m: PositiveFloat = 20.0
    """Of each arm, along its outer wall."""
    corridor_m: PositiveFloat = 6.0
    """Between the walls."""
    wall_m: PositiveFloat = 0.5
    """Thickness."""

    @model_validator(mode="after")
    def _has_arms(self) -> CorridorConfig:
        if self.corridor_m + self.wall_m >= self.length_m:
            raise ValueError(f"corridor_m: {self.corridor_m:g} leaves no arms of {self.length_m:g} m")
        return self


class CloudConfig(Config):
    """A world from a point cloud."""

    kind: Literal["cloud"] = "cloud"
    file: Path
    """PCD, PLY, LAS, LAZ, NPY, NPZ or KITTI's BIN; z up, metres."""
    cell_m: PositiveFloat = 0.1
    """Side of a cell."""
    least_points: PositiveInt = 1
    """A cell of fewer is free: stray points are no obstacles."""
    ground_m: float | None = None
    """Points below this z are the ground, and left out; None to keep all."""
    margin_m: NonNegativeFloat = 2.0
    """Free space added around the points."""


class FloorPlanConfig(Config):
    """A world from a picture of a floor plan, dark where walls are."""

    kind: Literal["floor_plan"] = "floor_plan"
    file: Path
    """A PNG, or another picture. Its left lower corner becomes x = y = 0, its upper edge the greatest y."""
    pixel_m: PositiveFloat = 0.1
    """Side of a pixel, and of a cell."""
    height_m: PositiveFloat = 3.0
    """Of the walls."""
    dark: float = Field(default=0.5, gt=0.0, le=1.0)
    """Pixels darker than this are walls; black is 0, white 1. Where a picture has transparency, clear is white."""


WorldConfig = Annotated[
    OpenConfig | ForestConfig | GapConfig | CorridorConfig | CloudConfig | FloorPlanConfig, Field(discriminator="kind")
]
