"""One request on its way through the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from espalier.engine.api import Sampling


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt, how to continue it, and where it stands.

    `key` is a hash of the prompt: equal prompts share a prefill. `session` is the session's number, 0 for none.
    `row` is its KV row while it runs. `spans` are pairs of (tokens sampled before, version that samples from there on).
    """

    prompt: npt.NDArray[np.int64]
    sampling: Sampling
    session: int = 0
    submitted: float = 0.0
    row: int = -1
    cached: int = 0
    prefilled: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)
    key: int = field(init=False)
    priority: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.key = hash(self.prompt.tobytes())

    @property
    def limit(self) -> int:
        """Length of prompt and completion at which the request is cut off."""
        return len(self.prompt) + self.sampling.max_tokens

    @property
    def stop_candidates(self) -> set[int]:
        """Tokens that end the request, or may: stop ids and the last ids of stop sequences."""
        return set(self.sampling.stop) | {sequence[-1] for sequence in self.sampling.stop_sequences}

    def stops_at(self, sampled: npt.NDArray[np.int64]) -> bool:
        """Whether the completion `sampled` ends with a stop id or a stop sequence."""
        if int(sampled[-1]) in self.sampling.stop:
            return True
        return any(
            len(stop) <= len(sampled) and tuple(sampled[len(sampled) - len(stop) :].tolist()) == stop
            for stop in self.sampling.stop_sequences
        )

    def versions(self, count: int) -> list[int]:
        """The policy version of each of `count` sampled tokens."""
        ends = [start for start, _ in self.spans[1:]] + [count]
        return [version for (start, version), end in zip(self.spans, ends, strict=False) for _ in range(start, end)]
