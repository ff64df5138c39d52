"""Between `DecoderConfig` and the config.json of Hugging Face folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from espalier.core.errors import ConfigError
from espalier.lm.config import DecoderConfig, Family, MoEConfig, RopeScaling

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "glm4": "Glm4ForCausalLM",
    "glm4_moe": "Glm4MoeForCausalLM",
}
REQUIRED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "rms_norm_eps",
)
OPTIONAL = ("num_key_value_heads", "head_dim", "tie_word_embeddings", "attention_bias")
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def read(values: Mapping[str, Any]) -> DecoderConfig:
    """See `DecoderConfig.from_hf`."""
    family = values.get("model_type")
    if family not in get_args(Family):
        raise ConfigError(f"model_type {family!r} is not one of {', '.join(get_args(Family))}")
    absent = [name for name in REQUIRED if values.get(name) is None]
    if absent:
        raise ConfigError(f"config.json lacks {', '.join(absent)}")
    _refuse(values)
    rope = {"rope_theta": values.get("rope_theta"), **(values.get("rope_scaling") or {})}
    rope |= values.get("rope_parameters") or {}
    fields = {name: values[name] for name in (*REQUIRED, *OPTIONAL, *TOKENS) if values.get(name) is not None}
    fields |= {"family": family, "rope_scaling": _scaling(rope, values)}
    if rope["rope_theta"] is not None:
        fields["rope_theta"] = rope["rope_theta"]
    if family in ("glm4", "glm4_moe"):
        fields["partial_rotary_factor"] = rope.get("partial_rotary_factor", values.get("partial_rotary_factor", 0.5))
    if family == "glm4_moe":
        fields["qk_norm"] = values.get("use_qk_norm", False)
        fields["moe"] = {name: values[name] for name in MoEConfig.model_fields if name in values}
    return DecoderConfig.of(**fields)


def write(config: DecoderConfig) -> dict[str, Any]:
    """See `DecoderConfig.to_hf`."""
    own = config.model_dump(
        mode="json", exclude={"family", "moe", "qk_norm", "rope_theta", "rope_scaling", "partial_rotary_factor"}
    )
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.family in ("glm4", "glm4_moe"):
        rope["partial_rotary_factor"] = config.partial_rotary_factor
    if config.rope_scaling is not None:
        rope |= {"rope_type": "llama3", **config.rope_scaling.model_dump()}
    experts = {} if config.moe is None else {"use_qk_norm": config.qk_norm, **config.moe.model_dump()}
    return {
        "architectures": [ARCHITECTURES[config.family]],
        "model_type": config.family,
        **own,
        **experts,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "rope_parameters": rope,
        # the same once more under the names that transformers 4 and others look for
        "rope_theta": config.rope_theta,
        **({"partial_rotary_factor": config.partial_rotary_factor} if "partial_rotary_factor" in rope else {}),
    }


def _refuse(values: Mapping[str, Any]) -> None:
    if values.get("hidden_act", "silu") != "silu":
        raise ConfigError(f"hidden_act {values['hidden_act']!r} is not supported, only silu")
    if values.get("mlp_bias"):
        raise ConfigError("mlp_bias is not supported")
    if values.get("use_sliding_window"):
        raise ConfigError("sliding-window attention (use_sliding_window) is not supported")
    if values.get("quantization_config"):
        raise ConfigError("quantised checkpoints are not supported: convert it to float32 or bfloat16 first")


def _scaling(rope: Mapping[str, Any], values: Mapping[str, Any]) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise ConfigError(f"rope type {kind!r} is not supported, only 'default' and 'llama3'")
    fields = {name: rope[name] for name in RopeScaling.model_fields if name in rope}
    return RopeScaling(**{"original_max_position_embeddings": values["max_position_embeddings"], **fields})
