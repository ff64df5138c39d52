"""The runner protocol: computes hidden states and logits for the engine."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from espalier.engine.forward.plan import BatchAttention
from espalier.lm.decoder import Decoder


class Runner(Protocol):
    """A decoder with the interface that the engine needs."""

    def forward(self, tokens: Tensor, positions: Tensor, attend: BatchAttention) -> Tensor:
        """Final hidden states [N, hidden_size] of tokens [N] at positions [N]."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """fp32 logits [M, vocabulary] of hidden states [M, hidden_size]."""
        ...

    def refresh(self) -> None:
        """The decoder's weights changed: recompute what was derived from them."""
        ...

    def discard(self) -> bool:
        """Free what was derived from the weights; returns whether there was anything. If so, `refresh` must come before
        the next pass.
        """
        ...


class DecoderRunner:
    """The plain decoder: supports every family, derives nothing."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def forward(self, tokens: Tensor, positions: Tensor, attend: BatchAttention) -> Tensor:
        """See `Runner`."""
        hidden: Tensor = self.decoder(tokens, positions, attend)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Runner`."""
        return self.decoder.logits(hidden)

    def refresh(self) -> None:
        """See `Runner`."""

    def discard(self) -> bool:
        """See `Runner`."""
        return False
