"""The C kernels: compiled at first use (under a second, no torch headers), kept in the user's cache, called by ctypes.

Without a compiler, on another device or in another precision the operators take their PyTorch path; a warning says once
that the kernels are missing. `ESPALIER_KERNELS=off` turns them off.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Name = Literal["float", "double", "index", "text"]

FLAGS = ("-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math")
HERE = Path(__file__).parent
SOURCES: dict[Name, tuple[str, tuple[str, ...]]] = {
    "float": ("kernels.c", ("-DREAL=float",)),
    "double": ("kernels.c", ("-DREAL=double",)),
    "index": ("graph_kernels.c", ()),
    "text": ("text_kernels.c", ()),
}
OF_DTYPE: dict[torch.dtype, Name] = {torch.float32: "float", torch.float64: "double"}


def numeric_kernels(*tensors: Tensor) -> ctypes.CDLL | None:
    """The kernels for these tensors, or None where PyTorch has to do: other devices, other or mixed precisions."""
    dtype = tensors[0].dtype
    same = all(tensor.dtype == dtype and tensor.device.type == "cpu" for tensor in tensors)
    return load(OF_DTYPE[dtype]) if same and dtype in OF_DTYPE else None


def index_kernels(*tensors: Tensor) -> ctypes.CDLL | None:
    """The kernels that move indices, or None where numpy has to do."""
    return load("index") if all(tensor.device.type == "cpu" for tensor in tensors) else None


def pointer(array: Tensor | np.ndarray | None) -> ctypes.c_void_p:
    """Where the contiguous `array` starts; NULL for None."""
    if array is None:
        return ctypes.c_void_p(None)
    if isinstance(array, Tensor):
        assert array.is_contiguous(), "kernels take contiguous arrays"
        return ctypes.c_void_p(array.data_ptr())
    assert array.flags.c_contiguous, "kernels take contiguous arrays"
    return ctypes.c_void_p(array.ctypes.data)


def count(number: int) -> ctypes.c_int64:
    """A 64-bit integer argument."""
    return ctypes.c_int64(number)


def load(name: Name) -> ctypes.CDLL | None:
    """The library `name`, compiled if need be; None where `ESPALIER_KERNELS=off` or there is no working compiler."""
    if os.environ.get("ESPALIER_KERNELS", "on").lower() in ("off", "0"):
        return None
    return _load(name)


@cache
def _load(name: Name) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(_compiled(name)))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        _warn_once(str(detail).strip())
        return None


@cache
def _warn_once(detail: str) -> None:
    warnings.warn(
        f"the graph kernels could not be compiled, so slower PyTorch operators do their work ({detail}). "
        "Install a C compiler (Debian: apt-get install gcc), or set CC; ESPALIER_KERNELS=off silences this.",
        RuntimeWarning,
        stacklevel=2,
    )


def _compiled(name: Name) -> Path:
    source, defines = SOURCES[name]
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise OSError("no C compiler was found")
    arguments = [*FLAGS, "-march=native", *defines, *_openmp()]
    text = "\0".join([(HERE / source).read_text(), compiler, *arguments, _machine()])
    target = _cache_folder() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            built = Path(folder) / target.name
            command = [compiler, *arguments, str(HERE / source), "-o", str(built), "-lm"]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
            built.replace(target)  # several processes may build at once: each puts a whole file in place
    return target


def _openmp() -> list[str]:
    """OpenMP flags. torch has loaded a libgomp already; kernels linked by the same name share its threads."""
    return ["-fopenmp"] if platform.system() == "Linux" else []


def _machine() -> str:
    """What `-march=native` depends on: a cache may be shared by machines."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line for line in lines if line.startswith("flags")), platform.processor())


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "espalier" / "kernels"
