"""What every engine refuses before it samples."""

from __future__ import annotations

from collections.abc import Sequence

from espalier.core.errors import EngineError
from espalier.engine.api import Capabilities, Sampling
from espalier.engine.updates import WeightUpdate


def check_ids(tokens: Sequence[int], vocabulary: int) -> None:
    """Raises EngineError for an empty prompt and for ids outside of the vocabulary; its size is 0 if not known."""
    if not len(tokens):
        raise EngineError("an empty prompt cannot be continued: pass at least one token")
    least, most = min(tokens), max(tokens)
    if vocabulary and (least < 0 or most >= vocabulary):
        wrong = least if least < 0 else most
        raise EngineError(f"token id {wrong} is outside the model's vocabulary of {vocabulary}: check the tokenizer")


def check_length(prompt: Sequence[int], sampling: Sampling, max_len: int, *, limit: str) -> None:
    """Raises EngineError if prompt and completion together exceed `max_len`. limit: words for whose limit that is."""
    longest = len(prompt) + sampling.max_tokens
    if longest > max_len:
        raise EngineError(
            f"a prompt of {len(prompt)} tokens and max_tokens={sampling.max_tokens} need {longest} positions, {limit}"
            f"{max_len}: raise engine.max_len, or ask for fewer tokens"
        )


def check_update(able: Capabilities, update: WeightUpdate) -> None:
    """Raises EngineError for a kind of update that an engine does not accept."""
    if update.kind not in able.updates:
        accepted = ", ".join(sorted(able.updates))
        raise EngineError(f"the engine does not accept updates of the kind {update.kind}; it accepts {accepted}")
