"""What a caller asks an engine for, what comes back, and the protocol between.

Invariant: a token depends on the weights, the prompt, `Sampling` and its position alone, never on what else is in
the batch or when it was scheduled. Log-probs do so up to rounding: matrix products of other shapes differ in the last
bits.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from espalier.engine.updates import WeightUpdate

Finish = Literal["stop", "length", "abort"]
PauseMode = Literal["abort", "finish", "keep"]
UpdateKind = Literal["tensors", "shared", "files", "adapter"]


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
    """A finished (or aborted) completion; the lists run parallel to `tokens`.

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
    """News of a streamed request: one token, its untempered log-prob, and the most probable (token, log-prob) there.

    `finish` is set with the last token, and with token -1 if the request was aborted.
    """

    token: int
    raw_logprob: float
    top: list[tuple[int, float]]
    finish: Finish | None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do. Whatever needs more is refused before the run starts.

    updates: the forms in which it takes new weights. pauses: its modes of `pause`. versions: whether the version is
    known of each token, or only of each request. score, sessions: whether it has them. seeded: whether equal seeds give
    the tokens of the embedded engine.
    """

    updates: frozenset[UpdateKind]
    pauses: frozenset[PauseMode] = frozenset(("abort", "finish", "keep"))
    versions: Literal["token", "request"] = "token"
    score: bool = True
    sessions: bool = True
    seeded: bool = True


@dataclass(slots=True)
class EngineStats:
    """Counters since start, and what is in flight now. Also the heartbeat."""

    version: int = 0
    running: int = 0
    waiting: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    cached_tokens: int = 0
    sampled_tokens: int = 0
    busy_seconds: float = 0.0


class Engine(Protocol):
    """Token ids in, token ids out."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def version(self) -> int:
        """The policy version that samples now."""
        ...

    @property
    def max_len(self) -> int:
        """Longest sequence in tokens, prompt and completion together."""
        ...

    @property
    def max_rows(self) -> int:
        """Sequences that it samples at the same time; further requests wait."""
        ...

    async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
        """Sample one completion. Calls with the same prompt at the same time share its prefill.

        `session` pins the finished row's KV, so that the conversation's next turn prefills only its new tokens.
        """
        ...

    async def score(self, tokens: Sequence[int]) -> list[float]:
        """Untempered log-prob of each token given those before it; the first is 0."""
        ...

    async def pause(self, mode: PauseMode) -> None:
        """Stop stepping: `abort` returns what is running, `finish` waits for it, `keep` freezes it."""
        ...

    async def load(self, update: WeightUpdate) -> None:
        """Take new weights. The version flips after the last tensor.

        Raises EngineError, before anything is changed, where they do not fit, or come in a form that it does not take.
        """
        ...

    async def resume(self) -> None:
        """Step again."""
        ...

    async def release(self, session: str) -> None:
        """Forget the KV pinned for `session`."""
        ...

    async def stats(self) -> EngineStats:
        """Counters and queue lengths."""
        ...


class StreamingEngine(Engine, Protocol):
    """An engine that hands out tokens as they are sampled: what a server needs."""

    def describe(self) -> str:
        """Its rows, its context and its memory, in words."""
        ...

    def check(self, prompt: Sequence[int], sampling: Sampling) -> None:
        """Raise EngineError where a request cannot be served: settings out of range, unknown ids, too long."""
        ...

    def stream(self, prompt: Sequence[int], sampling: Sampling, *, top: int = 0) -> AsyncGenerator[Progress, None]:
        """Like `generate`, token by token, with the `top` most probable ones at each place.

        The last item carries the finish reason. Closing the iterator early frees the row.
        """
        ...
