"""Files that are whole or absent, whatever kills the writer.

A temporary file or folder is flock'ed by its writer, so `sweep` can tell what a killed process left behind from what
another process is writing now.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace the file `path` in one step: a reader sees the old content or the new, never a part."""
    with temporary(path, folder=False) as temp:
        with temp.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temp.replace(path)
        sync(path.parent)


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` of indented JSON."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, which becomes `path` at the end of the block; after an error it is gone.

    A folder already at `path` is replaced. If the process dies between the two renames of a replacement, `sweep` puts
    the old folder back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary(path, folder=True) as temp:
        yield temp
        sync_tree(temp)
        old = path.with_name(f".{path.name}.old")
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        temp.rename(path)
        sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed writers left in `folder` (not below it), and undo half a replacement."""
    if not folder.is_dir():
        return
    for old in folder.glob(".*.old"):
        target = folder / old.name[1:-4]
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(target)
    for temp in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError):  # gone already, or its writer is alive
            handle = os.open(temp, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(temp)
            finally:
                os.close(handle)


@contextmanager
def temporary(path: Path, *, folder: bool) -> Iterator[Path]:
    """An empty file or folder beside `path`, to be renamed; whatever still has its name at the end is removed."""
    temp, handle = _claim(path, folder)
    try:
        yield temp
    finally:
        with contextlib.suppress(OSError):  # what went wrong before is what is told
            _remove(temp)
        os.close(handle)


def _claim(path: Path, folder: bool) -> tuple[Path, int]:
    while True:
        temp = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        temp.mkdir() if folder else temp.touch(exist_ok=False)
        with contextlib.suppress(FileNotFoundError):  # another process's sweep came before our lock: once more
            handle = os.open(temp, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if temp.exists():
                return temp, handle
            os.close(handle)


def sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """`sync` of everything below `folder`, and of itself."""
    for entry in (*folder.rglob("*"), folder):
        sync(entry)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
