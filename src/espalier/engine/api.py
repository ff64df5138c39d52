"""The engine protocol: requests, results and methods.

Invariant: a token depends only on the weights, the prompt, `Sampling` and its position, never on the rest of the batch
or on scheduling. Log-probs also do, up to rounding: matrix products of other shapes differ in the last bits.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from espalier.engine.updates import WeightUpdate

Finish = Literal["stop", "length", "abort"]
PauseMode = Literal["abort", "finish", "keep"]
UpdateKind = Literal["tensors", "shared", "files", "adapter", "transfer"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample one completion.

    `temperature` 0 is greedy. `top_k` 0, `top_p` 1 and `min_p` 0 mean no truncation. `stop` are token ids that end the
    completion (the stop token is kept, and trainable); `stop_sequences` are longer id sequences with the same effect.
    `seed` names the noise stream: position `p` of the sequence uses noise `hash(seed, p)`.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[int, ...] = ()
    stop_sequences: tuple[tuple[int, ...], ...] = ()
    seed: int = 0


@dataclass(slots=True)
class Completion:
    """A finished (or aborted) completion; the lists are aligned with `tokens`.

    `logprobs` are under the distribution that was sampled (after temperature and truncation), `raw_logprobs` under the
    untempered, untruncated softmax. `versions` is the policy version of each token. `cached` counts prompt tokens whose
    KV was reused, `prefilled` those computed for this request. `seconds` is the time from submission to finish.
    """

    tokens: list[int]
    logprobs: list[float]
    raw_logprobs: list[float]
    versions: list[int]
    finish: Finish
    cached: int
    prefilled: int
    seconds: float


class Progress(NamedTuple):
    """One item of a streamed request: a token, its untempered log-prob, and the most probable (token, log-prob) at its
    place.

    `finish` is set with the last token, and with token -1 if the request was aborted.
    """

    token: int
    raw_logprob: float
    top: list[tuple[int, float]]
    finish: Finish | None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine supports.

    updates: the kinds of weight updates that it accepts. pauses: its modes of `pause`. versions: whether the version is
    known of each token, or only of each request. score, sessions: whether it supports them. seeded: whether equal seeds
    give the tokens of the embedded engine.
    """

    updates: frozenset[UpdateKind]
    pauses: frozenset[PauseMode] = frozenset(("abort", "finish", "keep"))
    versions: Literal["token", "request"] = "token"
    score: bool = True
    sessions: bool = True
    seeded: bool = True


@dataclass(slots=True)
class EngineStats:
    """Counters since start, and the current number of requests. Also used as the heartbeat."""

    version: int = 0
    running: int = 0
    waiting: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    cached_tokens: int = 0
    sampled_tokens: int = 0
    busy_seconds: float = 0.0
    lost: int = 0
    """Times that an engine elsewhere was lost."""
    repeated: int = 0
    """Requests that began again, because their engine was lost."""


class Engine(Protocol):
    """Token ids in, token ids out."""

    @property
    def capabilities(self) -> Capabilities:
        """What the engine supports."""
        ...

    @property
    def version(self) -> int:
        """The version of the weights that sample now."""
        ...

    @property
    def max_len(self) -> int:
        """Longest sequence in tokens, prompt and completion together."""
        ...

    @property
    def max_rows(self) -> int:
        """Number of sequences that it samples at the same time; further requests wait."""
        ...

    async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
        """Sample one completion. Concurrent calls with the same prompt share its prefill.

        `session` keeps the finished row's KV, so that the conversation's next turn prefills only its new tokens.
        """
        ...

    async def score(self, tokens: Sequence[int]) -> list[float]:
        """Untempered log-prob of each token given those before it; the first is 0."""
        ...

    async def pause(self, mode: PauseMode) -> None:
        """Stop stepping: `abort` returns unfinished completions, `finish` waits for them, `keep` freezes them."""
        ...

    async def load(self, update: WeightUpdate) -> None:
        """Load new weights. The version changes after the last tensor.

        Raises EngineError, before anything is changed, if they do not fit or the kind of update is not supported.
        """
        ...

    async def resume(self) -> None:
        """Resume stepping."""
        ...

    async def publish(self, update: WeightUpdate, mode: PauseMode = "keep") -> None:
        """Give a running engine new weights: pause, load, resume, and compare its log-probs with `update.probe`.

        Raises ProbeError if the engine does not serve these weights.
        """
        ...

    async def sleep(self) -> None:
        """Free the memory that the next `load` fills again; until then the engine samples nothing.

        An engine that has no such memory, or that has requests, changes nothing.
        """
        ...

    async def release(self, session: str) -> None:
        """Free the KV that is kept for `session`."""
        ...

    async def stats(self) -> EngineStats:
        """Counters and queue lengths."""
        ...

    async def close(self) -> None:
        """End what the engine runs in; it is not used afterwards."""
        ...


class StreamingEngine(Engine, Protocol):
    """An engine that returns tokens as they are sampled, as a server needs."""

    def describe(self) -> str:
        """A description of its rows, context and memory."""
        ...

    def check(self, prompt: Sequence[int], sampling: Sampling) -> None:
        """Raise EngineError if a request cannot be served: settings out of range, unknown ids, too long."""
        ...

    def stream(self, prompt: Sequence[int], sampling: Sampling, *, top: int = 0) -> AsyncGenerator[Progress, None]:
        """Like `generate`, token by token, with the `top` most probable tokens at each place.

        The last item has the finish reason. Closing the iterator early frees the row.
        """
        ...
