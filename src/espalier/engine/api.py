"""What a caller asks an engine for, what comes back, and the protocol between.

Invariant: a token depends on the weights, the prompt, `Sampling` and its position alone, never on what else is in
the batch or when it was scheduled. Log-probs do so up to rounding: matrix products of other shapes differ in the last
bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import torch

Finish = Literal["stop", "length", "abort"]
PauseMode = Literal["abort", "finish", "keep"]


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


@dataclass(frozen=True, slots=True)
class WeightUpdate:
    """New weights for an engine: tensors by Hugging Face parameter name, and the version they carry."""

    version: int
    tensors: Mapping[str, torch.Tensor]


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
    def version(self) -> int:
        """The policy version that samples now."""
        ...

    @property
    def max_len(self) -> int:
        """Longest sequence in tokens, prompt and completion together."""
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
        """Take new weights. The version flips after the last tensor."""
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
