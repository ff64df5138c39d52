"""C kernels: compiled at first use (about a second, no torch headers), kept in the user's cache, called by ctypes.

Without a compiler the callers take their PyTorch path; a warning says once that the kernels are missing.
`ESPALIER_KERNELS=off` turns them off.
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

import numpy as np
from torch import Tensor

from espalier.core.processor import cpuinfo

FLAGS = ("-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros")
HEADERS = Path(__file__).parent
"""Folder of the headers that all kernels can include."""


def enabled() -> bool:
    """Whether kernels may be used: `ESPALIER_KERNELS` is not `off`."""
    return os.environ.get("ESPALIER_KERNELS", "on").lower() not in ("off", "0")


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


def load_library(source: Path, arguments: tuple[str, ...] = (), counts: tuple[str, ...] = ()) -> ctypes.CDLL | None:
    """The library of the C file `source`, compiled with `arguments` if need be, and opened once.

    `counts` are its functions that return a 64-bit integer. None with `ESPALIER_KERNELS=off` or without a working
    compiler.
    """
    return _opened(source, arguments, counts) if enabled() else None


@cache
def _opened(source: Path, arguments: tuple[str, ...], counts: tuple[str, ...]) -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(str(_compiled(source, arguments)))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        warn_once(str(detail).strip())
        return None
    for name in counts:
        getattr(library, name).restype = ctypes.c_int64
    return library


@cache
def warn_once(detail: str) -> None:
    """Say that the kernels are missing, and why."""
    warnings.warn(
        f"the C kernels could not be compiled, so slower PyTorch operators do their work ({detail}). "
        "Install a C compiler (Debian: apt-get install gcc), or set CC; ESPALIER_KERNELS=off silences this.",
        RuntimeWarning,
        stacklevel=2,
    )


def _compiled(source: Path, arguments: tuple[str, ...]) -> Path:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise OSError("no C compiler was found")
    arguments = (*FLAGS, "-march=native", *arguments, *_openmp())
    texts = [file.read_text() for file in (source, *sorted(source.parent.glob("*.h")), *sorted(HEADERS.glob("*.h")))]
    key = "\0".join([*texts, compiler, *arguments, _machine()])
    target = _cache_folder() / f"{source.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            built = Path(folder) / target.name
            command = [compiler, *arguments, f"-I{HEADERS}", str(source), "-o", str(built), "-lm"]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
            built.replace(target)  # several processes may build at once: each puts a whole file in place
    return target


def _openmp() -> list[str]:
    """OpenMP flags. torch has loaded a libgomp already; kernels linked by the same name share its threads."""
    return ["-fopenmp"] if platform.system() == "Linux" else []


def _machine() -> str:
    """What `-march=native` depends on: a cache may be shared by machines."""
    return cpuinfo("flags") or platform.processor()


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "espalier" / "kernels"
