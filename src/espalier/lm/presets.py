"""Shapes of models small enough to train on a laptop's CPU. All are ours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from espalier.core.errors import ConfigError
from espalier.lm.config import DecoderConfig, ModelConfig

_TINY: dict[str, Any] = {
    "family": "qwen3",
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
_SMALL = {**_TINY, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 8}
_MOE = {
    **_TINY,
    "family": "glm4_moe",
    "qk_norm": True,
    "moe": {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 128, "first_k_dense_replace": 1},
}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"tiny": _TINY, "small": _SMALL, "moe-tiny": _MOE})
"""Fields of `DecoderConfig` by preset; the tokenizer determines vocab_size and the token ids."""


def decoder_config(config: ModelConfig, **tokens: Any) -> DecoderConfig:
    """The preset with the section's own `decoder` fields, and those of the tokenizer (vocab_size, eos_token_id,
    ...).

    Raises ConfigError if they do not fit together.
    """
    try:
        return DecoderConfig.of(**{**PRESETS[config.preset], **tokens, **config.decoder})
    except ConfigError as error:
        raise ConfigError(f"model.decoder with preset {config.preset}: {error}") from error
