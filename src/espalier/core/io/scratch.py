"""Folders in the machine's memory for what processes hand to each other."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
"""A file system in memory; on other systems the folder for temporary files is used."""
PREFIX = "espalier-"


def scratch() -> Path:
    """A new folder, which its owner removes. Those of processes that were killed before they could are removed now."""
    root = MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
    for old in root.glob(f"{PREFIX}*-*"):
        owner = old.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdecimal() and not _runs(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
