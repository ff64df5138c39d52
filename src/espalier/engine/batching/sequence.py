"""The state of one request in the engine."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from espalier.engine.api import Finish, Progress, Sampling


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt, how to continue it, and its state.

    `key` is a hash of the prompt: equal prompts share a prefill. `session` is the session's number, 0 for none. `row`
    is its KV row while it runs. `spans` are pairs of (tokens sampled before, version that samples from there on). A
    `streamed` request collects `news`, with `top` alternatives per token; `reported` counts the tokens among them.
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
    streamed: bool = False
    top: int = 0
    reported: int = 0
    news: deque[Progress] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.key = hash(self.prompt.tobytes())

    def end(self, finish: Finish) -> None:
        """End the stream of items: its last token has `finish`; an abort is an item of its own."""
        if finish == "abort":
            self.news.append(Progress(-1, 0.0, [], finish))
        elif self.streamed:
            self.news[-1] = self.news[-1]._replace(finish=finish)

    @property
    def limit(self) -> int:
        """Length of prompt and completion at which the request is truncated."""
        return len(self.prompt) + self.sampling.max_tokens

    @property
    def stop_candidates(self) -> set[int]:
        """Tokens that may end the request: stop ids and the last ids of stop sequences."""
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
