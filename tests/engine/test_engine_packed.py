"""The C forward pass: agrees with the decoder, and a token's numbers do not depend on its batch, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from engine_models import complete, decoder, engine, reference

from espalier.core.errors import ConfigError
from espalier.core.hardware import has_bf16
from espalier.engine.api import Sampling
from espalier.engine.forward.packed import PackedRunner, packable
from espalier.engine.local import LocalEngine
from espalier.engine.native import library
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import inject

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler")

SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"attention_bias": False, "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 8}),
    ("qwen3", {"hidden_size": 33, "intermediate_size": 47, "vocab_size": 61}),
    ("qwen3", {"num_attention_heads": 6, "num_key_value_heads": 1, "head_dim": 20}),
    ("glm4", {}),
]
PROMPTS = [[1 + (7 * i + j) % 40 for j in range(1 + 5 * i)] for i in range(9)]


def runner_of(local: LocalEngine) -> PackedRunner:
    runner = local._stepper.runner
    assert isinstance(runner, PackedRunner)
    return runner


@pytest.mark.parametrize(("family", "changes"), SHAPES)
def test_log_probs_equal_a_full_forward_pass(family: str, changes: dict[str, Any]) -> None:
    model = decoder(family, **changes)
    local = engine(model)
    runner_of(local)
    samplings = [Sampling(max_tokens=40, seed=i) for i in range(len(PROMPTS))]
    for prompt, completion in zip(PROMPTS, complete(local, PROMPTS, samplings), strict=True):
        tokens = [*prompt, *completion.tokens]
        places = torch.arange(len(prompt) - 1, len(tokens) - 1)
        exact = reference(model, tokens)[places, torch.tensor(completion.tokens)]
        np.testing.assert_allclose(completion.raw_logprobs, exact.numpy(), atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", ["llama", "glm4"])
def test_numbers_do_not_depend_on_the_batch_bit_for_bit(family: str, precision: str) -> None:
    if precision == "bf16" and not has_bf16(torch.device("cpu")):
        pytest.skip("no bf16 matrix instructions")
    model = decoder(family)
    samplings = [Sampling(max_tokens=30, seed=i, temperature=0.7 + 0.1 * i) for i in range(len(PROMPTS))]
    together = complete(engine(model, precision=precision), PROMPTS, samplings)
    chunked = complete(engine(model, precision=precision, max_rows=3, prefill_tokens=2), PROMPTS, samplings)
    for prompt, sampling, one, other in zip(PROMPTS, samplings, together, chunked, strict=True):
        (alone,) = complete(engine(model, precision=precision), [prompt], [sampling])
        assert one.tokens == other.tokens == alone.tokens
        assert one.raw_logprobs == other.raw_logprobs == alone.raw_logprobs
        assert one.logprobs == other.logprobs == alone.logprobs


def test_bf16_is_near_fp32_and_is_not_fp32() -> None:
    if not has_bf16(torch.device("cpu")):
        pytest.skip("no bf16 matrix instructions")
    model = decoder("llama")
    local = engine(model, precision="bf16")
    assert runner_of(local).slab.dtype == torch.bfloat16
    with torch.no_grad():
        rounded = decoder("llama")
        rounded.to(torch.bfloat16)
    sampling = [Sampling(max_tokens=40, seed=i) for i in range(len(PROMPTS))]
    ours, theirs = [], []
    for prompt, completion in zip(PROMPTS, complete(local, PROMPTS, sampling), strict=True):
        tokens = [*prompt, *completion.tokens]
        at = torch.arange(len(prompt) - 1, len(tokens) - 1), torch.tensor(completion.tokens)
        exact = reference(model, tokens)[at].numpy()
        ours.append(np.abs(np.array(completion.raw_logprobs) - exact).mean())
        theirs.append(np.abs(reference(rounded, tokens)[at].float().numpy() - exact).mean())
    assert 1e-4 < np.mean(ours) < np.mean(theirs)


def test_new_weights_and_adapters_are_packed_anew() -> None:
    model = decoder("llama")
    inject(model, LoraConfig(rank=2, alpha=4.0, targets=("q_proj", "down_proj")), seed=0)
    local = engine(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or name.endswith("embed_tokens.weight"):
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.3)
    local._stepper.set_version(1)
    (completion,) = complete(local, [PROMPTS[3]], [Sampling(max_tokens=20, seed=1)])
    tokens = [*PROMPTS[3], *completion.tokens]
    places = torch.arange(len(PROMPTS[3]) - 1, len(tokens) - 1)
    exact = reference(model, tokens)[places, torch.tensor(completion.tokens)]
    np.testing.assert_allclose(completion.raw_logprobs, exact.numpy(), atol=1e-4)


def test_what_the_kernels_do_not_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse: Decoder = decoder("glm4_moe")
    assert not packable(sparse)
    assert packable(decoder("glm4"))
    with pytest.raises(ConfigError, match="the C kernels do not run this model"):
        engine(sparse, precision="bf16")
    monkeypatch.setenv("ESPALIER_KERNELS", "off")
    assert not packable(decoder("glm4"))
