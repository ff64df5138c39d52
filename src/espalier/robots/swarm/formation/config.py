"""Which formation is meant: by name, a text, a picture or a mesh. Defaults are ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from espalier.core.config import Config

Style = Literal["stroke", "fill", "outline"]
"""Of a drawing: its strokes, all of it, or its outline."""
Name = Literal["line", "ring", "grid", "cube", "hexagon", "sphere", "prism", "octahedron"]


class TextShape(Config):
    """Letters that stand upright, read from where y is negative."""

    kind: Literal["text"] = "text"
    words: str = Field(min_length=1)
    """What they spell; lines are parted by newlines."""
    style: Style = "stroke"
    """stroke is read with about 12 vehicles a letter, outline with 30, fill with 80."""
    font: str = "DejaVu Sans"
    """Name of a family, or a file."""


class ImageShape(Config):
    """What is drawn in a picture, upright."""

    kind: Literal["image"] = "image"
    file: Path
    """A PNG, or another picture."""
    style: Style = "fill"
    """All of what is drawn, its outline, or its strokes."""
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    """What is darker counts as drawn; black is 0."""
    bright: bool = False
    """What is brighter does instead."""


class MeshShape(Config):
    """The surface of a mesh."""

    kind: Literal["mesh"] = "mesh"
    file: Path
    """OBJ, STL or PLY; axes as in the file."""


class PointsShape(Config):
    """Slots from a file, as they are but for their middle, which becomes 0."""

    kind: Literal["points"] = "points"
    file: Path
    """CSV with columns x, y and z, or NPY (n, 3); one row for each vehicle."""


Drawn = Annotated[TextShape | ImageShape | MeshShape | PointsShape, Field(discriminator="kind")]
KINDS = {"text": "words", "image": "file", "mesh": "file", "points": "file"}
"""What may be typed as `kind:rest`, and which field the rest is."""


def untyped(value: Any) -> Any:
    r"""`kind:rest` as the mapping that it means; `\n` parts the lines of a text."""
    if not isinstance(value, str) or ":" not in value:
        return value
    kind, _, rest = value.partition(":")
    return {"kind": kind, KINDS.get(kind, "file"): rest.replace("\\n", "\n")}


Shape = Annotated[Name | Drawn, BeforeValidator(untyped)]
"""A name, or a mapping of `kind` and its fields; as a text it may be written `text:FLIP`, `image:logo.png`."""
