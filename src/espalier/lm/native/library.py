"""The compiled kernels, and whether they support a tensor."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from espalier.core.kernels import load_library

SOURCE = Path(__file__).parent / "kernels" / "training.c"
SMALL = 1 << 14
"""Number of values below which a second thread does not pay off."""


def library() -> ctypes.CDLL | None:
    """The compiled kernels; None with `ESPALIER_KERNELS=off` or without a working compiler."""
    return load_library(SOURCE, counts=("lanes", "step", "block", "attention_floats"))


def kernels() -> ctypes.CDLL:
    """The compiled kernels, for callers that know of them from `library_for`."""
    found = library()
    assert found is not None
    return found


def library_for(x: Tensor) -> ctypes.CDLL | None:
    """The kernels if they support `x`: fp32 on CPU, without autocast."""
    plain = x.dtype == torch.float32 and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return library() if plain else None


def threads(values: int) -> ctypes.c_int:
    """The number of threads for so many values."""
    return ctypes.c_int(1 if values < SMALL else torch.get_num_threads())
