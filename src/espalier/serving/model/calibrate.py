"""Step times from measurements: non-negative least squares, with how well it fits and how far it may be trusted."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.serving.model.steptime import DecodeTime, PrefillTime

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
    """Names, features and seconds of a CSV with the columns `tokens`, `seconds` and perhaps `attended`, or `requests`,
    `kv` and `seconds`. Raises DataError by file and line.
    """
    if not file.is_file():
        raise DataError(f"there is no {file}")
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        columns = reader.fieldnames or []
        names = tuple(name for name in (DECODE if set(DECODE) <= set(columns) else PREFILL) if name in columns)
        if "seconds" not in columns or not names or names == ("attended",):
            raise DataError(
                f"{file} has the columns {', '.join(columns)}; needed: tokens, seconds, or requests, kv, seconds"
            )
        rows = list(_numbers(reader, file, (*names, "seconds")))
    if not rows:
        raise DataError(f"{file} holds no measurements")
    table = np.array(rows)
    return names, table[:, :-1], table[:, -1]


def _numbers(reader: csv.DictReader[str], file: Path, columns: Sequence[str]) -> Iterator[list[float]]:
    for record in reader:
        try:
            yield [float(record[name]) for name in columns]
        except (TypeError, ValueError) as error:
            raise DataError(f"{file}:{reader.line_num}: {error}") from None
