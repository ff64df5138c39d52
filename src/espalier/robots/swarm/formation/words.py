"""A formation as it is typed: `hexagon`, `text:FLIP`, `image:logo.png`, `mesh:hull.stl`, `points:slots.csv`."""

from __future__ import annotations

from typing import get_args

from pydantic import TypeAdapter

from espalier.core.errors import DataError, nearest
from espalier.robots.swarm.formation.config import KINDS, Drawn, Name, Shape, Style, untyped

DRAWN: TypeAdapter[Drawn] = TypeAdapter(Drawn)
STYLED = ("text", "image")


def shape_of(typed: str, style: Style | None = None) -> Shape:
    r"""The shape that is meant; `\n` parts the lines of a text. style: None for the usual one of its kind.

    Raises DataError for a name that there is not, and for a style of what has none.
    """
    kind, colon, rest = typed.partition(":")
    if colon and kind not in KINDS:
        raise DataError(f"{typed!r}: there is no kind {kind!r} of formation{nearest(kind, KINDS)}")
    if colon and not rest:
        raise DataError(f"{typed!r}: nothing follows the colon; give {'words' if kind == 'text' else 'a file'}")
    if style is not None and not (colon and kind in STYLED):
        raise DataError(f"{typed!r} has no style; texts and images have")
    if colon:
        return DRAWN.validate_python(untyped(typed) | ({} if style is None else {"style": style}))
    for name in get_args(Name):
        if name == typed:
            return name
    names = [*get_args(Name), *(f"{kind}:" for kind in KINDS)]
    raise DataError(f"there is no formation {typed!r}{nearest(typed, names)}")
