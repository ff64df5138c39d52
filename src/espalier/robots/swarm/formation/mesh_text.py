"""Meshes as text: Wavefront OBJ, of which vertices and faces are read, and STL."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np

from espalier.core.errors import DataError
from espalier.core.io.text import text_lines
from espalier.robots.swarm.formation.even import Floats

CORNERS = 3
"""Of a face, at least."""


def read_obj(file: Path) -> Floats:
    """(t, 3, 3): the triangles; faces of more corners are cut into those at their first. Raises DataError by line."""
    places: list[tuple[float, ...]] = []
    faces: list[tuple[int, int, int]] = []
    for number, words in _statements(file):
        try:
            if words[0] == "v":
                places.append(_place(words[1:]))
            elif words[0] == "f":
                first, *others = (_corner(word, len(places)) for word in words[1:])
                if len(others) < CORNERS - 1:
                    raise ValueError(f"a face of {len(words) - 1} corners")
                faces += [(first, one, next_) for one, next_ in itertools.pairwise(others)]
        except ValueError as error:
            raise DataError(f"{file}:{number}: {error}") from None
    return np.array(places)[np.array(faces, np.int64)] if faces else np.empty((0, 3, 3))


def read_stl(file: Path) -> Floats:
    """(t, 3, 3): the triangles of an STL file of text. Raises DataError by line, or where its end is missing."""
    places: list[tuple[float, ...]] = []
    words: list[str] = []
    for number, line in text_lines(file):
        words = line.split() or words
        try:
            if line.strip():
                _take_stl(words, places)
        except ValueError as error:
            raise DataError(f"{file}:{number}: {error}") from None
    if words[:1] != ["endsolid"]:
        raise DataError(f"{file} does not end with 'endsolid': it was cut short")
    return np.array(places, np.float64).reshape(-1, CORNERS, 3)


def _take_stl(words: list[str], places: list[tuple[float, ...]]) -> None:
    """Add the vertex of a line; see that each loop has three."""
    match words[0].lower():
        case "vertex":
            if len(words) != 4:
                raise ValueError(f"a vertex of {len(words) - 1} numbers; it has x, y and z")
            places.append(tuple(map(_number, words[1:])))
        case "endloop" | "outer" | "endsolid":
            if len(places) % CORNERS:
                raise ValueError(f"before {words[0]!r} there are not {CORNERS} vertices to each loop")
        case "solid" | "facet" | "endfacet":
            return
        case other:
            raise ValueError(f"{other[:40]!r} is no word of STL")


def _statements(file: Path) -> list[tuple[int, list[str]]]:
    """Words of each line that has some, without remarks; a line that ends in a backslash goes on in the next."""
    found: list[tuple[int, list[str]]] = []
    goes_on = False
    for number, line in text_lines(file):
        text = line.partition("#")[0].rstrip()
        words = text.removesuffix("\\").split()
        if goes_on and found:
            found[-1][1].extend(words)
        elif words:
            found.append((number, words))
        goes_on = text.endswith("\\")
    return found


def _place(words: list[str]) -> tuple[float, ...]:
    place = tuple(map(_number, words[:3]))
    if len(words) not in (3, 4, 6, 7):  # with a weight, a colour, or both
        raise ValueError(f"a vertex of {len(words)} numbers; it has x, y and z")
    return place


def _number(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in word:
        raise ValueError(f"{word[:40]!r} is no finite number")
    return number


def _corner(word: str, known: int) -> int:
    """Index of the vertex of `12`, `12/3`, `12//4` or `-1`, the last so far."""
    text = word.partition("/")[0]
    number = int(text) if text.removeprefix("-").isdecimal() and len(text) < 12 else 0
    if not 1 <= abs(number) <= known:
        raise ValueError(f"{word[:40]!r} is none of the {known} vertices so far")
    return number - 1 if number > 0 else known + number
