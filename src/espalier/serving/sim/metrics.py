"""Figures of a simulation: times to first token, where they were spent, and how level the work was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from espalier.serving.sim.loop import Log

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Times:
    """Per finished request, in seconds: time to first token, and its parts: held by the scheduler, waiting in the
    engine, computed. prompt: (n,) tokens.
    """

    ttft: Floats
    held: Floats
    queued: Floats
    computed: Floats
    prompt: npt.NDArray[np.int64]

    @classmethod
    def of(cls, log: Log) -> Times:
        """Of the requests whose prefill ended."""
        done = np.isfinite(log.first)
        arrival, prompt = np.array([one.arrival for one in log.requests])[done], np.array(log.prompt)[done]
        placed, begun, first = (np.array(times)[done] for times in (log.placed, log.begun, log.first))
        return cls(first - arrival, placed - arrival, begun - placed, first - begun, prompt)

    def summary(self) -> dict[str, float]:
        """Mean, percentiles and parts; NaN where no prefill ended."""
        p50, p90, p99 = np.quantile(self.ttft, (0.5, 0.9, 0.99)) if self.ttft.size else (np.nan,) * 3
        out = {"ttft_mean": _mean(self.ttft), "ttft_p50": p50, "ttft_p90": p90, "ttft_p99": p99}
        out |= {"held": _mean(self.held), "queued": _mean(self.queued), "computed": _mean(self.computed)}
        return {name: float(value) for name, value in out.items()}

    def fairness(self) -> list[float]:
        """p99 / p50 of the time to first token in each quarter of prompt lengths, the shortest first."""
        ends = np.quantile(self.prompt, (0.25, 0.5, 0.75)) if self.prompt.size else np.zeros(3)
        quarter = np.searchsorted(ends, self.prompt)
        return [_spread(self.ttft[quarter == k]) for k in range(4)]


def engine_figures(log: Log, ranks: int) -> dict[str, float]:
    """utilisation: tokens of a pass over ranks times the most of one rank. imbalance: most over mean. passes: their
    count, step: their mean seconds. NaN where there was no pass.
    """
    passes: Any = np.array([(seconds, largest, tokens) for _, _, seconds, largest, tokens in log.passes if largest])
    if not passes.size:
        return {"passes": 0.0, "step": np.nan, "utilisation": np.nan, "imbalance": np.nan}
    level = passes[:, 2].sum() / (ranks * passes[:, 1].sum())
    return {
        "passes": float(len(passes)),
        "step": float(passes[:, 0].mean()),
        "utilisation": float(level),
        "imbalance": float((passes[:, 1] * ranks / passes[:, 2]).mean()),
    }


def _mean(times: Floats) -> float:
    return float(times.mean()) if times.size else float("nan")


def _spread(times: Floats) -> float:
    if not times.size:
        return float("nan")
    p50, p99 = np.quantile(times, (0.5, 0.99))
    return float(p99 / p50)
