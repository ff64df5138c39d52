"""Force answering (GLM-4.1V-Thinking, arXiv 2507.01006): a thought that reaches its limit is cut, and answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from espalier.lm.tokens import Tokenizer
from espalier.rl.rollout.config import ForcingConfig


@dataclass(frozen=True, slots=True)
class Forcing:
    """Cuts thoughts. ids: the tokens that begin the answer. answer: tokens that are left for it."""

    ids: Sequence[int]
    answer: int
    marker: str
    tokenizer: Tokenizer

    @staticmethod
    def of(config: ForcingConfig, tokenizer: Tokenizer) -> Forcing:
        """Raises DataError if the tokenizer cannot encode the text."""
        return Forcing(tokenizer.encode_markup(config.text), config.answer, config.marker, tokenizer)

    def answered(self, turn: Sequence[int]) -> bool:
        """Whether the sampled turn has begun its answer."""
        return self.marker in self.tokenizer.decode(turn)
