"""Random tiny models of every family, ours and transformers'."""

import random
from typing import Any

import torch
import transformers
from torch import Tensor

from espalier.lm.attention import PackedAttention, packed_positions
from espalier.lm.checkpoint.hf_config import to_hf
from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder
from espalier.lm.families import FamilyName

FAMILIES: tuple[FamilyName, ...] = ("llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "glm4", "glm4_moe")
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
SCALINGS: tuple[dict[str, Any] | None, ...] = (
    None,
    LLAMA3,
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
    {"rope_type": "linear", "factor": 2.0},
    {"rope_type": "dynamic", "factor": 2.0},
)
"""The seed says which one a family has."""


def random_config(family: FamilyName, seed: int) -> DecoderConfig:
    draw = random.Random(f"{family}{seed}")
    kv_heads = draw.choice([1, 2, 3])
    layers = draw.randint(1, 3)
    fields = {
        "family": family,
        "vocab_size": draw.randint(20, 90),
        "num_key_value_heads": kv_heads,
        "num_attention_heads": kv_heads * draw.choice([1, 2, 4]),
        "head_dim": 8 * draw.randint(1, 4),
        "intermediate_size": 8 * draw.randint(3, 9),
        "num_hidden_layers": layers,
        "max_position_embeddings": 64,
        "rope_theta": draw.choice([1e3, 1e4, 5e5]),
        "rms_norm_eps": draw.choice([1e-5, 1e-6]),
        "tie_word_embeddings": draw.random() < 0.5,
        "attention_bias": draw.random() < 0.5,
        "rope_scaling": SCALINGS[seed % len(SCALINGS)],
    }
    if family in ("mistral", "qwen2"):
        fields["attention_bias"] = family == "qwen2"
    fields["hidden_size"] = 4 * fields["num_attention_heads"] * draw.randint(1, 3)
    if family == "glm4_moe":
        groups = draw.choice([1, 2, 4])
        fields["qk_norm"] = draw.random() < 0.5
        fields["moe"] = {
            "n_routed_experts": 8,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 8 * draw.randint(1, 3),
            "n_shared_experts": draw.choice([1, 2]),
            "first_k_dense_replace": draw.randint(0, layers - 1),
            "n_group": groups,
            "topk_group": draw.randint(1, groups),
            "norm_topk_prob": draw.random() < 0.5,
            "routed_scaling_factor": draw.choice([1.0, 2.5]),
        }
    if family == "qwen3_moe":
        fields["moe"] = {
            "n_routed_experts": 8,
            "num_experts_per_tok": draw.choice([1, 2, 3]),
            "moe_intermediate_size": 8 * draw.randint(1, 3),
            "n_shared_experts": 0,
            "first_k_dense_replace": 0,
            "norm_topk_prob": draw.random() < 0.5,
        }
    return DecoderConfig(**fields)


def random_decoder(config: DecoderConfig, seed: int = 0) -> Decoder:
    """Weights large enough that every part of the model shows in the logits."""
    model = Decoder(config)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        spread = torch.randn(tensor.shape, generator=generator)
        tensor.copy_(1 + 0.3 * spread if name.endswith("norm.weight") else 0.25 * spread)
    return model


def theirs(config: DecoderConfig) -> transformers.PreTrainedModel:
    """transformers' model of the same shape, with its own random weights."""
    hf = to_hf(config)
    return transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**hf)).eval()


def tokens_of(config: DecoderConfig, lengths: list[int], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(config.vocab_size, (sum(lengths),), generator=generator)


def packed_logits(model: Decoder, tokens: Tensor, lengths: list[int]) -> Tensor:
    return model.logits(model(tokens, packed_positions(lengths), PackedAttention(lengths)))
