"""Tiny decoders, engines over them, and the slow truth to compare with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import torch

from espalier.engine.api import Completion, Sampling
from espalier.engine.local import LocalEngine
from espalier.lm.attention import PackedAttention, packed_positions
from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder

VOCABULARY = 48


def decoder(family: str = "qwen3", seed: int = 0, **changes: Any) -> Decoder:
    """A tiny decoder of a family, with weights large enough that its distributions are far from flat."""
    shape: dict[str, Any] = {
        "family": family,
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "tie_word_embeddings": family in ("llama", "qwen3"),
    }
    if family == "glm4_moe":
        shape["moe"] = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
        shape["qk_norm"] = True
    if family == "qwen3_moe":
        experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
        shape["moe"] = {**experts, "n_shared_experts": 0, "first_k_dense_replace": 0}
    model = Decoder(DecoderConfig(**{**shape, **changes}))
    model.reset(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8.0)
            else:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def engine(model: Decoder, **options: Any) -> LocalEngine:
    return LocalEngine(model, **{"max_rows": 8, "max_len": 128, **options})


def complete(local: LocalEngine, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]) -> list[Completion]:
    """Generate all at once."""

    async def main() -> list[Completion]:
        calls = (local.generate(prompt, sampling) for prompt, sampling in zip(prompts, samplings, strict=True))
        return await asyncio.gather(*calls)

    return asyncio.run(main())


@torch.no_grad()
def reference(model: Decoder, tokens: Sequence[int]) -> torch.Tensor:
    """Log-softmax [len(tokens), vocabulary] of a full forward pass without a cache."""
    hidden = model(torch.tensor(tokens), packed_positions([len(tokens)]), PackedAttention([len(tokens)]))
    return model.logits(hidden).log_softmax(-1)


def assert_equal_but_for_ties(model: Decoder, prompt: Sequence[int], one: list[int], other: list[int]) -> None:
    """Greedy tokens are equal up to the first place where the two best logits are within 1e-4 of each other."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            best = reference(model, [*prompt, *one[:place]])[-1].topk(2).values
            assert best[0] - best[1] <= 1e-4, f"token {place}: {a} != {b} with a margin of {best[0] - best[1]:.1e}"
            return
    assert len(one) == len(other)
