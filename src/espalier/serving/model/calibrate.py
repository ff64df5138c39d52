"""Step times from measurements: non-negative least squares, with how well it fits and how far it may be trusted."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.serving.model.steptime import DecodeTime, PrefillTime
from espalier.serving.records import Record, finite, is_json, read_records

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
        for name, value in zip(self.names, features, strict=True):
            self._check(name, value, beyond)
        return self.base + sum(slope * value for slope, value in zip(self.slopes, features, strict=True))

    def prefill(self, chunk: int, *, beyond: bool = False) -> PrefillTime:
        """Step times for chunks of `chunk` tokens. DataError as of `seconds`, ConfigError for a chunk below 1."""
        self._check("tokens", chunk, beyond)
        slopes = dict(zip(self.names, self.slopes, strict=True))
        attended = slopes.get("attended", 0.0)
        return PrefillTime.of(base=self.base, per_token=slopes["tokens"], per_attended=attended, chunk=chunk)

    def decode(self, requests: float, kv: float, *, beyond: bool = False) -> DecodeTime:
        """Step times for up to `requests` and `kv` cached tokens of a rank. Raises DataError as `seconds` does."""
        self._check("requests", requests, beyond)
        self._check("kv", kv, beyond)
        return DecodeTime.of(base=self.base, per_request=self.slopes[0], per_kv=self.slopes[1])

    def _check(self, name: str, value: float, beyond: bool) -> None:
        most = self.largest[self.names.index(name)]
        if value > REACH * most and not beyond:
            raise DataError(
                f"{name} {value:g} is more than {REACH:g} times the largest measured ({most:g}): "
                "measure further out, ask for less (--chunk), or say that you mean it (--beyond)"
            )


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
    names: tuple[str, ...] = ()
    found = array("d")
    for line, record in _passes(read_records(file, events=True)):
        if not names:
            names = tuple(name for name in (DECODE if set(DECODE) <= set(record) else PREFILL) if name in record)
            if "seconds" not in record or not {"tokens", "kv"} & set(names):
                where = f"{file}:{line if is_json(file) else 1}"
                raise DataError(f"{where} has {', '.join(record)}; needed: tokens, seconds, or requests, kv, seconds")
        found.extend(_numbers(f"{file}:{line}", record, names))
    if not names:
        raise DataError(f"{file} holds no measurements")
    table = np.array(found).reshape(-1, len(names) + 1)
    return names, table[:, :-1], table[:, -1]


def _passes(records: Iterator[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
    """Reports of an engine as measurements, without those that end no pass; everything else as it is."""
    for line, record in records:
        if not {"largest", "duration"} <= record.keys():
            yield line, record
        elif record["duration"] is not None:
            yield line, {"tokens": record["largest"], "seconds": record["duration"]}


def _numbers(where: str, record: Record, names: Sequence[str]) -> list[float]:
    try:
        row = [finite(record[name], name, least=0.0) for name in (*names, "seconds")]
    except KeyError as error:
        raise DataError(f"{where}: there is no {error.args[0]!r}") from None
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    if not row[-1]:
        raise DataError(f"{where}: seconds is 0; a pass takes some")
    return row
