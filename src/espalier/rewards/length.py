"""Length: DAPO's soft punishment of responses close to the limit (2503.14476)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig


class LengthConfig(ComponentConfig):
    """0 up to `limit - buffer` sampled tokens, then falling to -1 at `limit`."""

    kind: Literal["length"] = "length"
    """The reward."""
    veto: None = None
    """None, since its best value is 0."""
    limit: PositiveInt
    """Tokens at which the penalty is full."""
    buffer: PositiveInt
    """Tokens over which it grows."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.buffer > self.limit:
            raise ValueError(f"buffer ({self.buffer}) must not exceed limit ({self.limit})")
        return self


def length(config: LengthConfig, episode: Episode) -> float:
    """See `soft_overlong`; all turns of the policy count."""
    return soft_overlong(episode.tokens, config.limit, config.buffer)


def soft_overlong(tokens: int, limit: int, buffer: int) -> float:
    """0 up to `limit - buffer`, (limit - buffer - tokens) / buffer up to `limit`, then -1 (DAPO, eq. 13)."""
    return max(-1.0, min(0.0, (limit - buffer - tokens) / buffer))
