"""Force answering (GLM-4.1V-Thinking, arXiv 2507.01006): a thought that reaches its limit is cut, and answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from espalier.lm.tokens import Tokenizer
from espalier.rl.rollout.config import CutConfig, ForcingConfig
from espalier.rl.rollout.markers import marked_at


@dataclass(frozen=True, slots=True)
class Forcing:
    """Cuts thoughts. ids: the tokens that begin the answer. answer: tokens that are left for it."""

    ids: Sequence[int]
    answer: int
    marker: str
    tokenizer: Tokenizer

    @staticmethod
    def of(config: CutConfig, tokenizer: Tokenizer) -> Forcing:
        """Raises DataError if the tokenizer cannot encode the text."""
        answer = config.answer if isinstance(config, ForcingConfig) else 0
        return Forcing(tokenizer.encode_markup(config.text), answer, config.marker, tokenizer)

    def thought(self, turn: Sequence[int]) -> int:
        """Tokens of the sampled turn before the one that completes the marker; all but the last where it has none,
        because the last may end the turn.
        """
        place = marked_at(self.tokenizer.pieces(turn), (self.marker,))
        return max(0, len(turn) - 1) if place is None else place

    def answered(self, turn: Sequence[int]) -> bool:
        """Whether the sampled turn has begun its answer."""
        return self.marker in self.tokenizer.decode(turn)
