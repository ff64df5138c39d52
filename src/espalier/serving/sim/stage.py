"""From the first token to the last: the cache moves to a decode rank, which generates the rest of the answer.

Decoding does not act back on prefill, so it is simulated after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from espalier.core.errors import ConfigError
from espalier.serving.config import DecodeStageConfig
from espalier.serving.core.decode import DecodePlacement
from espalier.serving.core.types import Request
from espalier.serving.sim.decode import DecodeSimulation
from espalier.serving.sim.loop import NEVER, Log
from espalier.serving.sim.metrics import Floats


@dataclass(frozen=True)
class Answers:
    """Per request that had its first token, in their order.

    tpot: (n,) mean seconds of each further token, from the first on and with the transfer; NaN where there is none.
    whole: (n,) seconds from arrival to the last token. throughput: output tokens a second from the first arrival on.
    """

    tpot: Floats
    whole: Floats
    throughput: float

    def summary(self) -> dict[str, float]:
        """Means and percentiles; NaN where there is nothing to take them of."""
        tpot, whole = self.tpot[np.isfinite(self.tpot)], self.whole
        out = {"throughput": self.throughput}
        for name, values in (("tpot", tpot), ("whole", whole)):
            p50, p99 = np.quantile(values, (0.5, 0.99)) if values.size else (np.nan, np.nan)
            out |= {f"{name}_mean": values.mean() if values.size else np.nan, f"{name}_p50": p50, f"{name}_p99": p99}
        return {name: float(value) for name, value in out.items()}


def decode_stage(log: Log, config: DecodeStageConfig) -> Answers:
    """Generate what follows the first tokens of `log`. Raises ConfigError where a request has room on no rank."""
    prompt = log.prompt
    done = [request for request in log.requests if log.first[request.id] < NEVER]
    rest = [
        Request(request.id, request.arrival, prompt[request.id], request.output - 1)
        for request in done
        if request.output > 1
    ]
    longest = max((request.prompt + request.output for request in rest), default=0)
    if longest > config.capacity:
        raise ConfigError(f"decode.capacity: {config.capacity} tokens are less than the {longest} of one request")
    ready = [log.first[request.id] + config.transfer.seconds(request.prompt) for request in rest]
    placement = DecodePlacement(config.placement, config.time)
    last = DecodeSimulation(config.ranks, config.time, placement, config.capacity).open(rest, ready).finished
    first = np.array([log.first[request.id] for request in done])
    end = np.array([last.get(request.id, log.first[request.id]) for request in done])
    further = np.array([max(request.output - 1, 0) for request in done])
    tpot = np.divide(end - first, further, out=np.full(len(done), np.nan), where=further > 0)
    arrival = np.array([request.arrival for request in done])
    tokens = sum(request.output for request in done)
    seconds = float(end.max() - log.requests[0].arrival) if done else np.nan
    return Answers(tpot, end - arrival, tokens / seconds)
