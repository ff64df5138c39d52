"""Step times from measurements: non-negative least squares, with how well it fits and how far it may be trusted."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.serving.model.steptime import DecodeTime, PrefillTime

Record = dict[str, Any]
Floats = npt.NDArray[np.float64]
REACH = 1.5
"""How many times the largest measured value a fit may be asked about."""
PREFILL, DECODE = ("tokens", "attended"), ("requests", "kv")
"""Columns of measurements beside `seconds`: of the busiest rank. `attended` may be missing."""


@dataclass(frozen=True)
class Fit:
    """seconds = base + sum of slope * feature.

    r2: share of variance explained. p95: of the absolute residuals, seconds. largest: of each feature, as measured.
    """

    names: tuple[str, ...]
    base: float
    slopes: tuple[float, ...]
    r2: float
    p95: float
    largest: tuple[float, ...]
    n: int

    def seconds(self, *features: float, beyond: bool = False) -> float:
        """What the fit says. Raises DataError far outside of what was measured, unless `beyond`."""
        for name, value, most in zip(self.names, features, self.largest, strict=True):
            if not beyond and value > REACH * most:
                raise DataError(
                    f"{name} {value:g} is more than {REACH:g} times the largest measured ({most:g}): "
                    "measure further out, or say that you mean it (beyond)"
                )
        return self.base + sum(slope * value for slope, value in zip(self.slopes, features, strict=True))

    def prefill(self, chunk: int, *, beyond: bool = False) -> PrefillTime:
        """Step times for chunks of `chunk` tokens."""
        slopes = dict(zip(self.names, self.slopes, strict=True))
        most = dict(zip(self.names, self.largest, strict=True))["tokens"]
        if chunk > REACH * most and not beyond:
            raise DataError(f"a chunk of {chunk} tokens is beyond {REACH:g} times the largest measured ({most:g})")
        attended = slopes.get("attended", 0.0)
        return PrefillTime(base=self.base, per_token=slopes["tokens"], per_attended=attended, chunk=chunk)

    def decode(self) -> DecodeTime:
        """Step times of decoding."""
        requests, kv = self.slopes
        return DecodeTime(base=self.base, per_request=requests, per_kv=kv)


def fit(names: Sequence[str], features: Floats, seconds: Floats) -> Fit:
    """Least squares with coefficients of at least zero. features: (n, k), seconds: (n,). DataError for too few."""
    from scipy.optimize import nnls

    n, k = features.shape
    if n < k + 2:
        raise DataError(f"{n} measurements are too few for {k + 1} coefficients: take at least {k + 2}")
    if not (np.isfinite(features).all() and np.isfinite(seconds).all() and (seconds > 0).all()):
        raise DataError("measurements must be finite, and seconds above 0")
    scale = np.maximum(np.abs(features).max(0), 1e-300)
    found, _ = nnls(np.column_stack([np.ones(n), features / scale]), seconds)
    residual = seconds - found[0] - features / scale @ found[1:]
    spread = float(((seconds - seconds.mean()) ** 2).sum())
    r2 = 1.0 - float((residual**2).sum()) / spread if spread > 0 else 0.0
    p95 = float(np.quantile(np.abs(residual), 0.95))
    largest = tuple(float(one) for one in features.max(0))
    return Fit(tuple(names), float(found[0]), tuple((found[1:] / scale).tolist()), r2, p95, largest, n)


def read_measurements(file: Path) -> tuple[tuple[str, ...], Floats, Floats]:
    """Names, features and seconds of a CSV, or of a log of one JSON object a line (.jsonl, also `data: {...}`).

    Columns or keys are `tokens`, `seconds` and perhaps `attended`; or `requests`, `kv` and `seconds`; a log may also be
    of the passes that an engine tells of (`largest`, `duration`). Raises DataError by file and line.
    """
    if not file.is_file():
        raise DataError(f"there is no {file}")
    with file.open(newline="", encoding="utf-8-sig") as lines:
        records = _logged(lines, file) if file.suffix == ".jsonl" else _tabled(lines)
        number, first = next(records, (0, None))
        if first is None:
            raise DataError(f"{file} holds no measurements")
        names = tuple(name for name in (DECODE if set(DECODE) <= set(first) else PREFILL) if name in first)
        if "seconds" not in first or not names or names == ("attended",):
            raise DataError(f"{file} has {', '.join(first)}; needed: tokens, seconds, or requests, kv, seconds")
        table = np.array([_numbers(*one, file, (*names, "seconds")) for one in chain([(number, first)], records)])
    return names, table[:, :-1], table[:, -1]


def _tabled(lines: TextIO) -> Iterator[tuple[int, Record]]:
    reader = csv.DictReader(lines)
    for record in reader:
        yield reader.line_num, record


def _logged(lines: TextIO, file: Path) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(lines, 1):
        text = line.removeprefix("data:").strip()
        if not text:
            continue
        try:
            record = json.loads(text)
        except ValueError as error:
            raise DataError(f"{file}:{number}: {error}") from None
        if not isinstance(record, dict):
            raise DataError(f"{file}:{number}: not a JSON object")
        if "largest" in record and "duration" in record:
            if not record["duration"]:
                continue
            record = {"tokens": record["largest"], "seconds": record["duration"]}
        yield number, record


def _numbers(number: int, record: Record, file: Path, columns: Sequence[str]) -> list[float]:
    try:
        return [float(record[name]) for name in columns]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}:{number}: {type(error).__name__} {error}") from None
