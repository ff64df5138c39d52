"""Step-time models: seconds of a forward pass, which lasts as long as its slowest rank."""

from __future__ import annotations

from pydantic import NonNegativeFloat, PositiveInt

from espalier.core.config import Config


class PrefillTime(Config):
    """t = base + per_token * most tokens of a rank + per_attended * most (tokens x context) of a rank.

    The defaults are rounded from public figures of DeepSeek-V3 on 8-GPU nodes (6,800 prompt tokens a second and rank)
    and hold until calibrated. chunk: tokens that a rank takes in a pass.
    """

    base: NonNegativeFloat = 0.08
    """Seconds of an empty pass."""
    per_token: NonNegativeFloat = 1 / 7000
    """Seconds per token of the slowest rank."""
    per_attended: NonNegativeFloat = 0.0
    """Seconds per token and token of context before it."""
    chunk: PositiveInt = 4096
    """Tokens of a rank in one pass."""

    def seconds(self, tokens: int, attended: float = 0.0) -> float:
        """Of a pass whose busiest rank has so many."""
        return self.base + self.per_token * tokens + self.per_attended * attended

    @property
    def tokens_per_second(self) -> float:
        """Of a rank whose passes are all full: the capacity that loads are shares of."""
        return self.chunk / self.seconds(self.chunk)


class DecodeTime(Config):
    """t = base + per_request * most requests of a rank + per_kv * most tokens in a rank's cache.

    The defaults give 90 ms at 256 requests of 2,050 tokens a rank, as public figures of DeepSeek-V3 have it (22,300
    tokens a second on 8 GPUs); how that divides is ours.
    """

    base: NonNegativeFloat = 0.012
    """Seconds of an empty step."""
    per_request: NonNegativeFloat = 1e-4
    """Seconds per request of the slowest rank."""
    per_kv: NonNegativeFloat = 1e-7
    """Seconds per cached token of the slowest rank."""

    def seconds(self, requests: int, kv: int) -> float:
        """Of a step whose busiest rank has so many."""
        return self.base + self.per_request * requests + self.per_kv * kv
