"""The metrics of one update, under the names of docs/rl/learner.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from espalier.rl.learner.batches.pack import Floats
from espalier.rl.learner.experience import Experience
from espalier.rl.learner.mismatch import mismatch
from espalier.rl.learner.optimizer.optim import Stepped


class Figures:
    """Collects the statistics of an update's optimizer steps."""

    def __init__(self, data: Experience, version: int) -> None:
        self._data = data
        self._version = version
        self._values: dict[str, list[float]] = defaultdict(list)
        self._skipped = 0
        self._start = data.prox

    def policy(self, stats: Mapping[str, float], stepped: Stepped, logprobs: Floats) -> None:
        """Add one step of the policy. logprobs: [N], NaN where not computed."""
        if self._start is None:
            self._start = logprobs  # the weights had not moved yet
        self._add(stats, stepped, "grad_norm")

    def critic(self, stats: Mapping[str, float], stepped: Stepped) -> None:
        """Add one step of the critic."""
        self._add(stats, stepped, "grad_norm/critic")

    def metrics(self) -> dict[str, float]:
        """Means over the optimizer steps (maxima, for names ending in /max), and metrics of the rows."""
        table = self._data.table
        weighted = (table.rl != 0) | (table.ce != 0) | (table.ref != 0)
        result = {
            "tokens": float(len(table.tokens)),
            "tokens/trained": float(np.count_nonzero(weighted)),
            "updates": float(len(self._values["grad_norm"])),
            "grad_skipped": float(self._skipped),
        }
        result |= {k: float(max(v) if k.endswith("/max") else np.mean(v)) for k, v in self._values.items() if v}
        return result | self._advantages() | self._mismatch()

    def _add(self, stats: Mapping[str, float], stepped: Stepped, norm: str) -> None:
        if stepped.skipped:
            self._skipped += 1
            return
        for name, value in stats.items():
            self._values[name].append(value)
        self._values[norm].append(stepped.norm)

    def _advantages(self) -> dict[str, float]:
        chosen = self._data.advantage[self._data.table.rl != 0].astype(np.float64)
        return {"adv/mean": float(chosen.mean()), "adv/std": float(chosen.std())} if len(chosen) else {}

    def _mismatch(self) -> dict[str, float]:
        """Of the tokens that the policy sampled, where the weights at the start of the step were asked about them."""
        table = self._data.table
        if self._start is None:
            return {}
        chosen = (table.rl != 0) & (table.versions >= 0) & np.isfinite(self._start)
        return mismatch(self._start[chosen], table.behave[chosen], self._version - table.versions[chosen])
