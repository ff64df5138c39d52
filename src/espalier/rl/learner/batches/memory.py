"""How many tokens a micro-batch may have, by the memory that their activations take."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from espalier.lm.config import DecoderConfig

BUDGET: Mapping[str, int] = MappingProxyType({"cpu": 576 << 20, "cuda": 4 << 30})
"""Bytes of activations in one micro-batch, by the type of the device; ours."""
LEAST, MOST = 128, {"cpu": 4096, "cuda": 65536}
"""Tokens: fewer leave matrix products without work, more bring no speed."""


def activation_bytes(config: DecoderConfig, *, recompute: bool = False) -> int:
    """About what a token leaves in memory for the backward pass, in fp32: in each layer 14 vectors of the hidden size
    (inputs of projections, norms, queries, keys, values) and 4 of the inner size. With `recompute` that is so in one
    layer at a time, and each leaves its input.
    """
    inner = config.intermediate_size
    if config.moe is not None:
        inner = max(inner, config.moe.num_experts_per_tok * config.moe.moe_intermediate_size)
    layer = 14 * config.hidden_size + 4 * inner
    layers = config.num_hidden_layers
    return 4 * (layer + layers * config.hidden_size if recompute else layers * layer)


def microbatch_tokens(config: DecoderConfig, device: str, *, recompute: bool = False) -> int:
    """Tokens of a micro-batch where `learner.tokens_per_microbatch` does not say."""
    kind = device if device in BUDGET else "cuda"
    return max(LEAST, min(MOST[kind], BUDGET[kind] // activation_bytes(config, recompute=recompute)))
