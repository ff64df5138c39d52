"""What a reader must do with a mutated file: a `Reader` says how it is tried, `judge` says whether it did."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import torch

from espalier.core.errors import EspalierError

Change = Callable[[bytes, Random], "tuple[bytes, int | None] | None"]
"""Another content and the line that an error must name (None: any); None where the content has no place for it."""
Kind = Literal["neutral", "damage", "other"]
Outcome = Literal["equal", "refused", "matched", "open", "fault"]
KINDS: Sequence[Kind] = ("neutral", "damage", "other", "other")
"""In turn: half of all mutants have no promise but the reference's."""


class Open(Exception):  # noqa: N818 (no error: an answer)
    """Raised by a reference for what the format leaves open: the reader may refuse it, or read it as it likes."""


@dataclass(frozen=True)
class Reader:
    """A reader of users' files.

    make: writes a sound file, and what must lie beside it, into an empty folder, and returns the file to be mutated.
    read: the records, by the package. reference: the same from the file by other means, at most about 20 lines; what it
    raises says that the file is to be refused, but for `Open`. None where 20 lines do not do: then only neutral changes
    and damage are judged, and of other changes that nothing but an EspalierError comes. neutral: changes that leave the
    records as they are. damage: changes that must be refused. other: changes judged by the reference. names_file:
    whether errors name it.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    reference: Callable[[Path], Any] | None
    neutral: Sequence[Change] = ()
    damage: Sequence[Change] = ()
    other: Sequence[Change] = ()
    names_file: bool = True


@dataclass(frozen=True)
class Result:
    """How one mutant went. what: kind and name of the change. fault: why it is one, else empty."""

    seed: int
    what: str
    outcome: Outcome
    fault: str = ""


def mutant(reader: Reader, content: bytes, seed: int) -> tuple[Kind, str, bytes, int | None]:
    """The mutant of that seed: its kind, the name of the change, the bytes, and the line that an error must name."""
    rng = Random(f"{reader.name} {seed}")
    kind = KINDS[seed % len(KINDS)]
    for tried in (kind, "other", "damage", "neutral"):
        changes: list[Change] = list(getattr(reader, tried))
        rng.shuffle(changes)
        for change in changes:
            made = change(content, rng)
            if made is not None and (tried == "neutral" or made[0] != content):
                return tried, getattr(change, "__name__", "change"), *made  # type: ignore[return-value]
    raise AssertionError(f"{reader.name}: no change fits its file")


def judge(reader: Reader, file: Path, content: bytes, records: Any, seed: int) -> Result:
    """Write the mutant of that seed in the place of `file`, whose content and records are given, and read it."""
    kind, change, mutated, line = mutant(reader, content, seed)
    what = f"{kind}: {change}"
    file.write_bytes(mutated)
    try:
        found, error = plain(reader.read(file)), None
    except EspalierError as refusal:
        found, error = None, str(refusal)
    except BaseException as wrong:
        return Result(seed, what, "fault", f"{type(wrong).__module__}.{type(wrong).__name__}: {str(wrong)[:200]}")
    if error is not None and (fault := _silent(reader, file, error, line)):
        return Result(seed, what, "fault", fault)
    if kind == "neutral":
        if error is not None:
            return Result(seed, what, "fault", f"refused what means the same: {error[:200]}")
        if not same(found, records):
            return Result(seed, what, "fault", f"other records than before: {_apart(found, records)}")
        return Result(seed, what, "equal")
    if kind == "damage":
        if error is None:
            return Result(seed, what, "fault", f"read what is damaged: {str(found)[:200]}")
        return Result(seed, what, "refused")
    if reader.reference is None:
        return Result(seed, what, "open")
    try:
        expected = plain(reader.reference(file))
    except (Open, MemoryError):
        return Result(seed, what, "open")
    except Exception as refusal:
        if error is None:
            return Result(seed, what, "fault", f"read what the reference refuses ({refusal!r:.120}): {found!r:.120}")
        return Result(seed, what, "refused")
    if error is not None:
        return Result(seed, what, "fault", f"refused what the reference reads as {expected!r:.120}: {error[:200]}")
    if not same(found, expected):
        return Result(seed, what, "fault", f"other records than the reference: {_apart(found, expected)}")
    return Result(seed, what, "matched")


def plain(value: Any) -> Any:
    """Lists, mappings, arrays, numbers and text, whatever they were wrapped in."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, torch.Tensor):
        return value.detach().float().numpy() if value.dtype == torch.bfloat16 else value.detach().numpy()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def same(one: Any, other: Any) -> bool:
    """Whether plain values are equal; NaN equals itself."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)) or one.shape != other.shape:
            return False
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc" and other.dtype.kind in "fc"))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return bool(one == other) and isinstance(one, str) == isinstance(other, str)


def _silent(reader: Reader, file: Path, error: str, line: int | None) -> str:
    """What is wrong with the words of an error."""
    if reader.names_file and file.name not in error and str(file.parent) not in error:
        return f"does not name the file: {error[:200]}"
    if line is not None and f"{file.name}:{line}" not in error:
        return f"does not name line {line}: {error[:200]}"
    return ""


def _apart(one: Any, other: Any) -> str:
    return f"{str(one)[:120]} | {str(other)[:120]}"
