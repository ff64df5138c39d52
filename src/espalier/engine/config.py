"""The recipe section `engine:`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from espalier.core.config import Config

MAX_ROWS = 128
PREFILL_TOKENS = 2048
RETAIN_ROWS = 32
QUEUE = 1024
"""Default number of answers that may wait for a row in a server."""


class EngineConfig(Config):
    """The engine that samples."""

    later: ClassVar[frozenset[str]] = frozenset({"kind", "precision"})

    kind: Literal["local"] = "local"
    """`local`: embedded in this process."""

    max_rows: int = Field(default=MAX_ROWS, ge=1)
    """Number of sequences that decode at the same time. On two CPU cores, 64 to 256 are about equally fast."""

    max_len: int = Field(default=512, ge=2)
    """Longest sequence in tokens, prompt and completion together."""

    prefill_tokens: int = Field(default=PREFILL_TOKENS, ge=1)
    """Largest number of prompt tokens in one step; longer prompts are prefilled in chunks."""

    retain_rows: int = Field(default=RETAIN_ROWS, ge=0)
    """Extra KV rows that keep finished sequences, so that next turns and forks reuse them."""

    weights: Literal["alias", "copy"] = "alias"
    """`alias` shares the learner's tensors, `copy` keeps a separate copy."""

    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """Type of the engine's weights and cache, independent of the learner's; sums, log-probs and sampling are fp32.
    `auto` uses bf16 if the hardware supports it natively. A bf16 model stays bf16."""
