"""GGUF files that the tests write with llama.cpp's own package, from a decoder of ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tokenizers import pre_tokenizers

from espalier.lm.checkpoint import expert_names
from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder

ARCH = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "glm4": "glm4",
    "glm4_moe": "glm4moe",
}
KINDS = {kind.name: kind for kind in gguf.GGMLQuantizationType}
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def vocabulary(size: int = 0) -> tuple[list[str], list[str]]:
    """Tokens and merges of a small byte-level vocabulary, filled up to `size`."""
    merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "Ġw o", "1 2", "' l", "'l l", "Ċ Ċ", "Ġ Ġ", "H E", "e Ì"]
    tokens = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(m.replace(" ", "") for m in merges)]
    return tokens + [f"[PAD{i}]" for i in range(len(tokens), size)], merges


def write_gguf(
    path: Path,
    model: Decoder,
    kind: str = "F32",
    *,
    changes: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """The model in llama.cpp's names and order; matrices in blocks of the kind where rows divide into them.

    The vocabulary has at least the 272 tokens of `vocabulary`. changes: metadata of the architecture to write besides;
    extra: float32 tensors to write besides.
    """
    config, arch = model.config, ARCH[model.config.family]
    writer = gguf.GGUFWriter(path, arch)
    _metadata(writer, config, arch, changes or {})
    tokens, merges = vocabulary(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if t in SPECIAL else 5 if t.startswith("[PAD") else 1 for t in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_chat_template(TEMPLATE)
    for name, value in (_tensors(model, arch) | (extra or {})).items():
        chosen = KINDS[kind] if value.ndim > 1 and value.shape[-1] % 32 == 0 else KINDS["F32"]
        data = gguf.quantize(np.ascontiguousarray(value), chosen)
        writer.add_tensor(name, data, raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _metadata(writer: gguf.GGUFWriter, config: DecoderConfig, arch: str, changes: dict[str, Any]) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.rotary_dim)
    writer.add_vocab_size(config.vocab_size)
    if config.rope_scaling is not None and config.rope_scaling.rope_type in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(config.rope_scaling.rope_type))
        writer.add_rope_scaling_factor(config.rope_scaling.factor)
        if config.rope_scaling.rope_type == "yarn":
            writer.add_rope_scaling_orig_ctx_len(config.rope_scaling.original_max_position_embeddings)
    if config.moe is not None:
        writer.add_expert_count(config.moe.n_routed_experts)
        writer.add_expert_used_count(config.moe.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe.moe_intermediate_size)
    if config.moe is not None and config.family == "glm4_moe":
        writer.add_expert_shared_count(config.moe.n_shared_experts)
        writer.add_leading_dense_block_count(config.moe.first_k_dense_replace)
        writer.add_expert_weights_scale(config.moe.routed_scaling_factor)
        writer.add_expert_weights_norm(config.moe.norm_topk_prob)
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_expert_group_count(config.moe.n_group)
        writer.add_expert_group_used_count(config.moe.topk_group)
    for key, value in changes.items():
        (writer.add_string if isinstance(value, str) else writer.add_float32)(f"{arch}.{key}", value)


def _tensors(model: Decoder, arch: str) -> dict[str, np.ndarray[Any, Any]]:
    """By gguf's own table of names."""
    config = model.config
    number = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    names = gguf.get_tensor_name_map(number, config.num_hidden_layers)
    found: dict[str, Any] = {}
    for whole, tensor in model.state_dict().items():
        for name, part in expert_names.split(whole, tensor):
            stem, _, last = name.rpartition(".")
            if last == "e_score_correction_bias":
                stem, last = stem + ".e_score_correction", "bias"
            single = re.sub(r"experts\.\d+\.", "experts.", stem)
            theirs = names.get_name(single)
            assert theirs is not None, name
            value = part.float().numpy()
            if arch == "llama" and re.search(r"attn_[qk]$", theirs):
                heads = config.num_attention_heads if theirs.endswith("q") else config.num_key_value_heads
                value = _permuted(value, heads)
            found.setdefault(f"{theirs}.{last}", []).append(value)
    return {name: np.stack(parts) if len(parts) > 1 else parts[0] for name, parts in found.items()}


def _permuted(value: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """As convert_hf_to_gguf.py permutes the rows of queries and keys of Llama."""
    return value.reshape(heads, 2, len(value) // heads // 2, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)
