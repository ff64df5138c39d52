"""The engine's C kernels (`forward/kernels/`), or None where there is no compiler."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from espalier.core.kernels import enabled, open_library

SOURCE = Path(__file__).parent / "forward" / "kernels" / "decoder.c"


def library() -> ctypes.CDLL | None:
    """The compiled kernels; None with `ESPALIER_KERNELS=off` or without a working compiler."""
    return _library() if enabled() else None


@cache
def _library() -> ctypes.CDLL | None:
    opened = open_library(SOURCE, ("-O2", "-ftree-vectorize"))
    if opened is not None:
        opened.panel_width.restype = opened.has_half.restype = opened.scratch_floats.restype = ctypes.c_int64
    return opened
