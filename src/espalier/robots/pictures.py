"""Pictures that users hand in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from espalier.core.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 40_000_000
"""Of a picture: a few bytes of a broken one can promise any number."""


def read_picture(file: Path, mode: str, longest: int | None = None) -> Image.Image:
    """A picture in a mode of Pillow's (`LA`, `RGBA`), made smaller where its longer side has more than `longest`.

    Raises DataError where it is missing, broken, cut short or too large.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError("pillow", "robots") from error
    if not file.is_file():
        raise DataError(f"there is no picture {file}")
    try:
        with Image.open(file) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS:
                raise DataError(f"{file}: a picture of {width} x {height} pixels is too large; make it smaller")
            if longest is not None:
                opened.thumbnail((longest, longest))
            return opened.convert(mode)
    except DataError:
        raise
    except Exception as error:  # each format's decoder raises its own kinds
        raise DataError(f"{file} is no picture that can be read: {error}") from None
