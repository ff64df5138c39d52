"""Correctness gates: transformers' generate, a full forward pass, and the decoder itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_models import VOCABULARY, assert_equal_but_for_ties, complete, decoder, engine, reference

from espalier.engine.api import Sampling
from espalier.engine.forward.decode import DecodeAttention
from espalier.engine.forward.fused import FusedRunner, fusible
from espalier.engine.forward.plan import BatchAttention, make_batch
from espalier.engine.forward.prefill import PrefillChunk
from espalier.engine.forward.runner import DecoderRunner
from espalier.engine.kv.slab import Slab
from espalier.lm.checkpoint.files import save_model
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import inject

FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "glm4", "glm4_moe"]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
DENSE = [
    ("llama", {}),
    ("llama", {"attention_bias": True}),
    ("llama", {"rope_scaling": YARN}),
    ("mistral", {}),
    ("qwen2", {}),
    ("qwen2", {"rope_scaling": YARN}),
    ("qwen3", {}),
    ("glm4", {"rope_scaling": YARN}),
    ("glm4", {}),
    ("glm4", {"attention_bias": True}),
]


def prompts(count: int, seed: int = 0) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.integers(0, VOCABULARY, random.integers(1, 40)).tolist() for _ in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_tokens_equal_generate_of_transformers(family: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = decoder(family)
    save_model(model, tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    asked = prompts(6)
    ours = complete(engine(model, max_rows=4), asked, [Sampling(max_tokens=24, temperature=0.0)] * len(asked))
    for prompt, completion in zip(asked, ours, strict=True):
        ids = torch.tensor([prompt])
        output = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=24,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
        )
        assert_equal_but_for_ties(model, prompt, output[0, len(prompt) :].tolist(), completion.tokens)


@pytest.mark.parametrize("family", FAMILIES)
def test_logprobs_equal_those_of_a_full_forward(family: str) -> None:
    model = decoder(family)
    asked = prompts(10, seed=1)
    samplings = [Sampling(max_tokens=30, temperature=0.7 + 0.1 * (i % 4), seed=i) for i in range(len(asked))]
    for prompt, sampling, completion in zip(asked, samplings, complete(engine(model), asked, samplings), strict=True):
        logp = reference(model, [*prompt, *completion.tokens])[len(prompt) - 1 : -1]
        tempered = (logp / sampling.temperature).log_softmax(-1)
        chosen = torch.tensor(completion.tokens)[:, None]
        assert torch.tensor(completion.raw_logprobs) == pytest.approx(logp.gather(1, chosen)[:, 0], abs=1e-4)
        assert torch.tensor(completion.logprobs) == pytest.approx(tempered.gather(1, chosen)[:, 0], abs=1e-4)


@pytest.mark.parametrize(("family", "changes"), [*DENSE, ("qwen3", {"tie_word_embeddings": False})])
def test_fused_runner_agrees_with_the_decoder(family: str, changes: dict[str, object]) -> None:
    model = decoder(family, **changes)
    if model.config.output_bias:
        assert not fusible(model)
        return
    assert fusible(model)
    _agree(model)


@pytest.mark.parametrize(("family", "changes"), DENSE)
def test_the_engine_samples_with_the_log_probs_of_the_decoder(family: str, changes: dict[str, object]) -> None:
    """With the runner that it chooses: the packed one where there is a compiler."""
    local = engine(decoder(family, **changes), max_rows=4)
    asked = prompts(4)
    found = complete(local, asked, [Sampling(max_tokens=24, seed=i) for i in range(4)])
    for prompt, completion in zip(asked, found, strict=True):
        expected = asyncio.run(local.score([*prompt, *completion.tokens]))[len(prompt) :]
        np.testing.assert_allclose(completion.raw_logprobs, expected, atol=2e-5)


def test_fused_runner_merges_adapters(model: Decoder) -> None:
    adapted = decoder()
    inject(adapted, LoraConfig(rank=4))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0.0, 0.1, generator=draw)
    fused, plain = _agree(adapted), _agree(model)
    assert (fused - plain).abs().max() > 0.1, "the adapters changed nothing"


def test_fused_runner_derives_anew_after_a_change() -> None:
    model = decoder()
    runner = FusedRunner(model, 128)
    before = _forward(runner, model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    assert torch.equal(_forward(runner, model), before), "the derived weights follow the learner before load"
    runner.refresh()
    torch.testing.assert_close(_forward(runner, model), _forward(DecoderRunner(model), model), atol=1e-5, rtol=1e-5)


def _agree(model: Decoder) -> torch.Tensor:
    ours, theirs = _forward(FusedRunner(model, 128), model), _forward(DecoderRunner(model), model)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    return ours


@torch.no_grad()
def _forward(runner: FusedRunner | DecoderRunner, model: Decoder) -> torch.Tensor:
    """Two steps, the first a prefill of two rows of unequal length, the second a decode of both."""
    shape = model.config
    slab = Slab(
        layers=shape.num_hidden_layers,
        rows=3,
        kv_heads=shape.num_key_value_heads,
        max_len=128,
        head_dim=shape.head_dim,
        hidden_size=shape.hidden_size,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    bags, hidden = DecodeAttention(slab, shape.num_attention_heads), []
    for newest, spans in (
        (np.array([4, 79]), [PrefillChunk(0, 0, 4), PrefillChunk(1, 0, 79)]),
        (np.array([5, 80]), []),
    ):
        batch = make_batch(newest, spans, slab.device)
        tokens = (batch.positions * 7 + batch.rows) % VOCABULARY
        hidden.append(runner.forward(tokens, batch.positions, BatchAttention(bags, batch, scale=shape.head_dim**-0.5)))
    return runner.logits(torch.cat(hidden))
