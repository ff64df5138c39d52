"""Names of tensors: llama.cpp's in GGUF files, and those of Hugging Face folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from espalier.lm.families import FamilyName

ARCHITECTURES: Mapping[str, FamilyName] = MappingProxyType(
    {
        "llama": "llama",
        "qwen2": "qwen2",
        "qwen3": "qwen3",
        "qwen3moe": "qwen3_moe",
        "glm4": "glm4",
        "glm4moe": "glm4_moe",
    }
)
"""Family by general.architecture. Mistral's files call themselves llama, and compute the same."""

WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Parts of a layer of Llama's shape."""
EXPERTS = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.{}.gate_proj",
    "ffn_up_exps": "mlp.experts.{}.up_proj",
    "ffn_down_exps": "mlp.experts.{}.down_proj",
    "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
    "ffn_up_shexp": "mlp.shared_experts.up_proj",
    "ffn_down_shexp": "mlp.shared_experts.down_proj",
}
FAMILY: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "qwen3_moe": EXPERTS,
        "glm4": {
            "post_attention_norm": "post_self_attn_layernorm",
            "ffn_up": "mlp.gate_up_proj",
            "post_ffw_norm": "post_mlp_layernorm",
        },
        "glm4_moe": {**EXPERTS, "post_attention_norm": "post_attention_layernorm"},
    }
)
"""Additional parts of a family, or parts with another meaning in it."""
CORRECTION = {"exp_probs_b", "exp_probs_b.bias"}
"""Names of GLM-4.5's correction bias."""

_PART = re.compile(r"blk\.(\d{1,9})\.(.+)")


def hf_name(name: str, family: FamilyName) -> str | None:
    """The name in a Hugging Face folder; for stacked experts with {} for the expert's number. None if unknown."""
    if name in WHOLE:
        return WHOLE[name]
    match = _PART.fullmatch(name)
    if match is None:
        return None
    layer, part = f"model.layers.{int(match[1])}.", match[2]
    if part in CORRECTION and family == "glm4_moe":
        return f"{layer}mlp.gate.e_score_correction_bias"
    if part.startswith("nextn.") and family == "glm4_moe":
        return layer + part
    stem, _, kind = part.rpartition(".")
    named = {**LAYER, **FAMILY.get(family, {})}.get(stem)
    return f"{layer}{named}.{kind}" if named is not None and kind in ("weight", "bias") else None


def interleaved(name: str, family: FamilyName) -> bool:
    """Whether llama.cpp stores the rows of a tensor in another order: queries and keys of Llama, see `weights`."""
    return family == "llama" and re.fullmatch(r"blk\.\d+\.attn_[qk]\.(weight|bias)", name) is not None
