"""Numbered checkpoints of a run: each appears whole or not at all, is read back from the disk, and bears checksums.

checkpoints/step_0000064/SHA256SUMS      one line a file, as `sha256sum --check` reads it
checkpoints.json                         the newest that was written
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from espalier.core.errors import DataError, NoCheckpointError, RunError
from espalier.core.io.files import atomic_dir, sweep, sync_tree, write_atomic, write_json
from espalier.core.io.text import parse_json, read_text, text_lines

SUMS = "SHA256SUMS"
BROKEN = "broken_"
"""Begins the name of a checkpoint that was set aside."""


class Checkpoints:
    """In `folder`, the newest `keep` of them. `say` tells the user what was found broken."""

    def __init__(self, folder: Path, *, keep: int, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._keep = keep
        self._say = say
        self._record = folder.with_name(f"{folder.name}.json")

    @contextmanager
    def write(self, number: int) -> Iterator[Path]:
        """A folder to fill, which becomes checkpoint `number`, larger than all before, at the end of the block.

        The ones beyond `keep` are removed once it has been read back. Raises RunError where it cannot be written; the
        ones before stay as they are.
        """
        try:
            with atomic_dir(self._folder / f"step_{number:07d}") as path:
                yield path
                seal(path)
            write_json(self._record, {"newest": number})
        except (OSError, DataError) as error:
            before = [n for n in map(_number, self._all()) if n < number]
            kept = f"the one of step {before[-1]} is kept" if before else "there is none before it"
            why = (isinstance(error, OSError) and error.strerror) or error
            raise RunError(f"{self._folder}: step {number} could not be written: {why}; {kept}") from None
        for old in self._all()[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole; newer ones are set aside, and that is said.

        None where the run has not come to its first. Raises NoCheckpointError where it had, and none is left.
        """
        sweep(self._folder)
        faults: dict[Path, str] = {}
        for path in reversed(self._all()):
            try:
                verify(path)
            except DataError as error:
                faults[path] = str(error)
                continue
            self._fall_back(path, faults)
            return path
        if faults or self._record.exists():
            why = "; ".join(faults.values()) or f"step {self._recorded()} was written, and is gone"
            raise NoCheckpointError(
                f"{self._folder}: no checkpoint is left to go on from ({why}). Put one back from a copy; or begin"
                f" again on purpose: espalier run {self._folder.parent / 'config.yaml'}"
            )
        self._say("there is no checkpoint yet: training begins again")
        return None

    def _fall_back(self, path: Path, faults: dict[Path, str]) -> None:
        number = _number(path)
        for broken, fault in faults.items():
            aside = broken.with_name(BROKEN + broken.name)
            shutil.rmtree(aside, ignore_errors=True)
            broken.rename(aside)
            self._say(f"{fault}: going on from step {number} instead; the broken one is now {aside.name}")
        recorded = self._recorded()
        if not faults and recorded is not None and recorded > number:
            self._say(f"the checkpoint of step {recorded} is gone: going on from step {number} instead")

    def _recorded(self) -> int | None:
        """The newest number that was written, as far as it is known."""
        try:
            content = parse_json(read_text(self._record), str(self._record))
        except DataError:
            return None
        number = content.get("newest") if isinstance(content, dict) else None
        return number if isinstance(number, int) else None

    def _all(self) -> list[Path]:
        return sorted((path for path in self._folder.glob("step_*") if path.is_dir()), key=_number)


def seal(folder: Path) -> None:
    """Write the checksums of the files below `folder`, and read everything back from the disk.

    Raises DataError where the disk gives back something else than was written.
    """
    sums = {name: _digest(folder / name) for name in _names(folder)}
    write_atomic(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    sync_tree(folder)
    verify(folder)


def verify(folder: Path) -> None:
    """Raises DataError, naming the file, where the files below `folder` are not those that were sealed."""
    if not (folder / SUMS).is_file():
        raise DataError(f"{folder} is broken: it has no {SUMS}")
    sums = dict(_entry(line, folder / SUMS) for _, line in text_lines(folder / SUMS))
    if odd := sorted(sums.keys() ^ set(_names(folder))):
        raise DataError(f"{folder / odd[0]} is {'missing' if odd[0] in sums else 'not part of the checkpoint'}")
    for name, digest in sums.items():
        if _digest(folder / name) != digest:
            raise DataError(f"{folder / name} is broken: its checksum differs")


def _entry(line: str, file: Path) -> tuple[str, str]:
    digest, separator, name = line.partition("  ")
    if not separator:
        raise DataError(f"{file} is broken: {line[:80]!r} is no checksum")
    return name, digest


def _names(folder: Path) -> list[str]:
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name != SUMS)


def _digest(path: Path) -> str:
    """SHA-256 of a file, read from the disk rather than from memory where the system knows how."""
    try:
        with path.open("rb") as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _number(path: Path) -> int:
    digits = path.name.removeprefix("step_")
    return int(digits) if digits.isdecimal() else -1
