"""The graph kernels: selects the C library for given tensors (see `espalier.core.kernels`)."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from espalier.core.kernels import count, load_library, pointer
from espalier.core.kernels import warn_once as _warn_once

__all__ = ["OF_DTYPE", "_warn_once", "count", "index_kernels", "load", "numeric_kernels", "pointer"]

Name = Literal["float", "double", "index", "text"]

HERE = Path(__file__).parent
SOURCES: dict[Name, tuple[str, tuple[str, ...]]] = {
    "float": ("kernels.c", ("-DREAL=float",)),
    "double": ("kernels.c", ("-DREAL=double",)),
    "index": ("graph_kernels.c", ()),
    "text": ("text_kernels.c", ()),
}
OF_DTYPE: dict[torch.dtype, Name] = {torch.float32: "float", torch.float64: "double"}


def numeric_kernels(*tensors: Tensor) -> ctypes.CDLL | None:
    """The kernels for these tensors, or None if PyTorch must be used: other devices, other or mixed precisions."""
    dtype = tensors[0].dtype
    same = all(tensor.dtype == dtype and tensor.device.type == "cpu" for tensor in tensors)
    return load(OF_DTYPE[dtype]) if same and dtype in OF_DTYPE else None


def index_kernels(*tensors: Tensor) -> ctypes.CDLL | None:
    """The kernels for indices, or None if numpy must be used."""
    return load("index") if all(tensor.device.type == "cpu" for tensor in tensors) else None


def load(name: Name) -> ctypes.CDLL | None:
    """The library `name`, compiled if necessary; None with `ESPALIER_KERNELS=off` or without a working compiler."""
    source, defines = SOURCES[name]
    return load_library(HERE / source, ("-fassociative-math", *defines))
