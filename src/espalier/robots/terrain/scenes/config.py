"""Settings of a scene. All defaults are ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from espalier.core.config import Config

Kind = Literal["hills", "forest", "ruin", "road", "rooms"]


class Usual(NamedTuple):
    """What a kind of scene has where nothing else is said; None for what it cannot have."""

    relief_m: float | None
    obstacles_per_100_m2: float | None


USUAL: Mapping[Kind, Usual] = {
    "hills": Usual(6.0, None),
    "forest": Usual(3.0, 4.0),
    "ruin": Usual(1.2, 4.0),
    "road": Usual(0.8, 0.5),
    "rooms": Usual(None, 6.0),
}


class SceneConfig(Config):
    """A square of made terrain around (0, 0)."""

    kind: Kind = "hills"
    """hills: bare ground. forest: trees on hills. ruin: boxes, slabs, columns and heaps. road: with kerbs, pavements, a
    ditch and parked cars. rooms: a floor with walls, doors, sills and furniture."""
    size_m: float = Field(default=50.0, ge=10.0)
    """Side of the square."""
    density_per_m2: PositiveFloat = 100.0
    """Points on a square metre of surface, upright or level."""
    relief_m: NonNegativeFloat | None = None
    """Height of the highest ground above the lowest, less where slopes would pass 35 degrees; on a road, of the fields
    beside it. None for what is usual for the kind."""
    obstacles_per_100_m2: NonNegativeFloat | None = None
    """Trees, pieces of ruin, parked things or furniture, as far as there is room. None for what is usual."""
    overhangs: bool = False
    """Whether trees have crowns and doors have lintels: more than 2 m up, for maps with a ceiling."""
    seed: NonNegativeInt = 0
    """Of everything that is drawn at random."""

    @model_validator(mode="after")
    def _the_kind_has_it(self) -> SceneConfig:
        usual = USUAL[self.kind]
        if self.relief_m and usual.relief_m is None:
            raise ValueError(f"relief_m: the floor of {self.kind} is level")
        if self.obstacles_per_100_m2 and usual.obstacles_per_100_m2 is None:
            raise ValueError(f"obstacles_per_100_m2: {self.kind} have none; forest and ruin do")
        return self

    @property
    def relief(self) -> float:
        """Metres: as set, or as usual."""
        return (USUAL[self.kind].relief_m or 0.0) if self.relief_m is None else self.relief_m

    @property
    def obstacles(self) -> int:
        """How many the whole square shall have."""
        usual, given = USUAL[self.kind].obstacles_per_100_m2 or 0.0, self.obstacles_per_100_m2
        return round((usual if given is None else given) * self.size_m**2 / 100.0)
