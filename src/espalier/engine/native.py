"""The engine's C kernels (`forward/kernels/`), or None where there is no compiler."""

from __future__ import annotations

import ctypes
from pathlib import Path

from espalier.core.kernels import load_library

SOURCE = Path(__file__).parent / "forward" / "kernels" / "decoder.c"


def library() -> ctypes.CDLL | None:
    """The compiled kernels; None with `ESPALIER_KERNELS=off` or without a working compiler."""
    return load_library(SOURCE, ("-O2", "-ftree-vectorize"), ("panel_width", "has_half", "scratch_floats"))
