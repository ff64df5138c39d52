"""Converts the metadata of a GGUF file to `DecoderConfig`. Unknown keys of the architecture are errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from espalier.core.errors import ConfigError, DataError
from espalier.lm.config import DecoderConfig
from espalier.lm.families import FAMILIES, FamilyName
from espalier.lm.gguf.container import Container
from espalier.lm.gguf.dequantise import dequantise
from espalier.lm.gguf.names import ARCHITECTURES
from espalier.lm.rope_config import LinearScaling, Llama3Scaling, RopeScaling, YarnScaling

READ = frozenset(
    {
        *("vocab_size", "context_length", "embedding_length", "block_count", "feed_forward_length"),
        *("attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon"),
        *("attention.key_length", "attention.value_length", "rope.dimension_count", "rope.freq_base"),
        *("rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length"),
        *("rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_beta_fast"),
        *("rope.scaling.yarn_beta_slow", "rope.scaling.yarn_ext_factor"),
    }
)
"""Keys of the architecture that are read in every family."""
READ_EXPERTS = frozenset(
    {
        *("expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count"),
        *("leading_dense_block_count", "expert_weights_scale", "expert_weights_norm", "expert_gating_func"),
        *("expert_group_count", "expert_group_used_count", "nextn_predict_layers"),
    }
)
"""Keys of the architecture that are read in mixtures of experts."""
HARMLESS = frozenset({"rope.scaling.finetuned", "expert_shared_feed_forward_length"})
"""Keys that never affect the logits."""
GATES = {1: "softmax", 2: "sigmoid"}
LLAMA31 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""Scaling of all published Llama 3.1 to 3.3; the file has only the resulting factors."""


def read_config(container: Container) -> DecoderConfig:
    """The decoder that the metadata describe.

    Raises ConfigError or DataError, naming file and key, if they describe something that the decoder does not
    support.
    """
    try:
        return _read(container)
    except ConfigError as error:
        raise ConfigError(f"{container.path}: {error}") from error


def _read(container: Container) -> DecoderConfig:
    name = container.need("general.architecture", str)
    if name not in ARCHITECTURES:
        raise ConfigError(f"general.architecture {name!r} is not one of {', '.join(ARCHITECTURES)}")
    if (container.get("split.count", int) or 1) > 1:
        raise ConfigError("split.count: the file is one of several; join them with llama-gguf-split --merge")
    family = ARCHITECTURES[name]
    _check_known(container, name, family)
    heads, width = container.need(f"{name}.attention.head_count", int), container.need(f"{name}.embedding_length", int)
    head_dim = container.get(f"{name}.attention.key_length", int) or width // max(heads, 1)
    if container.get(f"{name}.attention.value_length", int) not in (None, head_dim):
        raise ConfigError(f"{name}.attention.value_length: only values as wide as keys are supported ({head_dim})")
    turned = container.get(f"{name}.rope.dimension_count", int)
    fields: dict[str, Any] = {
        "family": family,
        "vocab_size": container.get(f"{name}.vocab_size", int) or _rows(container, "token_embd.weight"),
        "hidden_size": width,
        "intermediate_size": container.need(f"{name}.feed_forward_length", int),
        "num_hidden_layers": container.need(f"{name}.block_count", int) - _further(container, name),
        "num_attention_heads": heads,
        "num_key_value_heads": container.get(f"{name}.attention.head_count_kv", int),
        "head_dim": head_dim,
        "max_position_embeddings": container.need(f"{name}.context_length", int),
        "rope_theta": container.get(f"{name}.rope.freq_base", float),
        "rope_scaling": _scaling(container, name, family, head_dim),
        "partial_rotary_factor": None if turned is None else turned / max(head_dim, 1),
        "rms_norm_eps": container.need(f"{name}.attention.layer_norm_rms_epsilon", float),
        "tie_word_embeddings": "output.weight" not in container.tensors,
        "attention_bias": "blk.0.attn_q.bias" in container.tensors,
        "moe": _experts(container, name, family),
        **{f"{token}_token_id": container.get(f"tokenizer.ggml.{key}_token_id", int) for token, key in TOKENS.items()},
    }
    if FAMILIES[family].qk_norm is None:
        fields["qk_norm"] = "blk.0.attn_q_norm.weight" in container.tensors
    return DecoderConfig.of(**fields)


TOKENS = {"bos": "bos", "eos": "eos", "pad": "padding"}


def _check_known(container: Container, name: str, family: FamilyName) -> None:
    known = READ | HARMLESS | (READ_EXPERTS if FAMILIES[family].gate else frozenset())
    for key, value in container.metadata.items():
        prefix, _, rest = key.partition(".")
        if prefix == name and rest not in known:
            shown = "an array" if isinstance(value, np.ndarray | list) else repr(value)[:60]
            raise ConfigError(
                f"{key}: {shown} is not known here, and might change what the model computes in the {family} family"
            )


def _rows(container: Container, tensor: str) -> int:
    if tensor not in container.tensors:
        raise DataError(f"{container.path}: tensor {tensor} is missing")
    return container.tensors[tensor].shape[0]


def _further(container: Container, name: str) -> int:
    """Layers at the end that predict further tokens, and are left out."""
    return container.get(f"{name}.nextn_predict_layers", int) or 0


def _experts(container: Container, name: str, family: FamilyName) -> dict[str, Any] | None:
    gate = FAMILIES[family].gate
    if gate is None:
        return None
    given = container.get(f"{name}.expert_gating_func", int)
    if given is not None and GATES.get(given) != gate:
        raise ConfigError(f"{name}.expert_gating_func: {given} is not implemented in the {family} family, only {gate}")
    fields: dict[str, Any] = {
        "n_routed_experts": container.need(f"{name}.expert_count", int),
        "num_experts_per_tok": container.need(f"{name}.expert_used_count", int),
        "moe_intermediate_size": container.need(f"{name}.expert_feed_forward_length", int),
        "n_shared_experts": container.get(f"{name}.expert_shared_count", int),
        "first_k_dense_replace": container.get(f"{name}.leading_dense_block_count", int),
        "n_group": container.get(f"{name}.expert_group_count", int),
        "topk_group": container.get(f"{name}.expert_group_used_count", int),
        "routed_scaling_factor": container.get(f"{name}.expert_weights_scale", float),
        "norm_topk_prob": container.get(f"{name}.expert_weights_norm", bool),
    }
    return {**FAMILIES[family].expert_limits, **{key: value for key, value in fields.items() if value is not None}}


def _scaling(container: Container, name: str, family: FamilyName, head_dim: int) -> RopeScaling | None:
    kind = container.get(f"{name}.rope.scaling.type", str) or "none"
    if "rope_freqs.weight" in container.tensors:
        if kind != "none":
            raise ConfigError(f"{name}.rope.scaling.type: {kind!r} beside the tensor rope_freqs.weight")
        return _llama3(container, name, family, head_dim)
    if kind == "none":
        return None
    factor = container.need(f"{name}.rope.scaling.factor", float)
    if kind == "linear":
        return LinearScaling.of(factor=factor)
    if kind != "yarn":
        raise ConfigError(f"{name}.rope.scaling.type: {kind!r} is not implemented, only none, linear and yarn")
    attention = [container.get(f"{name}.rope.scaling.{key}", float) for key in ("attn_factor", "yarn_attn_factor")]
    if any(value not in (None, 1.0) for value in attention):
        raise ConfigError(f"{name}.rope.scaling.yarn_attn_factor: {attention} is not implemented, only 1")
    if container.get(f"{name}.rope.scaling.yarn_ext_factor", float) not in (None, 1.0):
        raise ConfigError(f"{name}.rope.scaling.yarn_ext_factor: only 1 is implemented")
    return YarnScaling.of(
        factor=factor,
        original_max_position_embeddings=container.need(f"{name}.rope.scaling.original_context_length", int),
        beta_fast=container.get(f"{name}.rope.scaling.yarn_beta_fast", float) or 32.0,
        beta_slow=container.get(f"{name}.rope.scaling.yarn_beta_slow", float) or 1.0,
    )


def _llama3(container: Container, name: str, family: FamilyName, head_dim: int) -> Llama3Scaling:
    """Llama 3.1's scaling, found from the factors that the converter wrote in its place."""
    tensor = container.tensors["rope_freqs.weight"]
    written = dequantise(container.rows(tensor), tensor.kind).ravel()
    base = container.get(f"{name}.rope.freq_base", float) or 10000.0
    scaling = Llama3Scaling.of(factor=float(written.max()), **LLAMA31)
    frequencies = base ** -(np.arange(0, head_dim, 2) / head_dim)
    turns = scaling.original_max_position_embeddings * frequencies / (2 * np.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = np.clip((turns - low) / (high - low), 0, 1)
    expected = 1 / (kept + (1 - kept) / scaling.factor)
    if family != "llama" or written.shape != expected.shape or not np.allclose(written, expected, rtol=1e-3):
        raise ConfigError("rope_freqs.weight holds other factors than those of Llama 3.1, which are not implemented")
    return scaling
