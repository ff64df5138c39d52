import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import FAMILIES, packed_logits, random_config, random_decoder, tokens_of

from espalier.lm.attention import SHORT, PackedAttention, packed_positions
from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder
from espalier.lm.layers.norm import RMSNorm


class OneByOne:
    """The obvious attention: a loop over rows, heads and queries."""

    def __init__(self, lengths):
        self.bounds = list(itertools.pairwise([0, *itertools.accumulate(lengths)]))

    def __call__(self, layer, q, k, v):
        out = torch.zeros_like(q)
        group = q.shape[1] // k.shape[1]
        for start, end in self.bounds:
            for i, h in itertools.product(range(start, end), range(q.shape[1])):
                seen = slice(start, i + 1)
                scores = k[seen, h // group] @ q[i, h] / q.shape[-1] ** 0.5
                out[i, h] = scores.softmax(0) @ v[seen, h // group]
        return out


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_packed_attention_equals_the_loop(lengths, kv_heads, group, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    n = sum(lengths)
    q, k, v = (
        torch.randn(n, heads, 4, generator=generator, dtype=torch.double, requires_grad=True)
        for heads in (kv_heads * group, kv_heads, kv_heads)
    )
    upstream = torch.randn(n, kv_heads * group, 4, generator=generator, dtype=torch.double)
    results = []
    for plan in (PackedAttention(lengths), OneByOne(lengths)):
        out = plan(0, q, k, v)
        results.append((out, *torch.autograd.grad(out, (q, k, v), upstream)))
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow)


def test_packed_attention_of_nothing() -> None:
    q, k = torch.zeros(0, 4, 8), torch.zeros(0, 2, 8)
    assert PackedAttention([])(0, q, k, k).shape == q.shape


def test_packed_attention_of_long_rows() -> None:
    """Beyond SHORT another kernel serves; a mixture of both must still come back in order."""
    lengths = [3, SHORT + 9, 1, SHORT, SHORT // 2, SHORT + 1]
    q, k, v = (torch.randn(sum(lengths), heads, 8, requires_grad=True) for heads in (4, 2, 2))
    out = PackedAttention(lengths)(0, q, k, v)
    grads = torch.autograd.grad(out.square().sum(), (q, k, v))
    rows = []
    for parts in zip(*(torch.split(x, lengths) for x in (q, k, v)), strict=True):
        a, b, c = (x.transpose(0, 1) for x in parts)
        rows.append(F.scaled_dot_product_attention(a, b, c, is_causal=True, enable_gqa=True).transpose(0, 1))
    slow = torch.cat(rows)
    torch.testing.assert_close(out, slow, atol=1e-5, rtol=1e-4)
    for ours, theirs in zip(grads, torch.autograd.grad(slow.square().sum(), (q, k, v)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_positions_restart_in_each_row() -> None:
    assert packed_positions([3, 1, 2]).tolist() == [0, 1, 2, 0, 0, 1]
    assert packed_positions([]).tolist() == []


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_rows_do_not_see_each_other(family) -> None:
    config = random_config(family, 11)
    model, lengths = random_decoder(config), [4, 9, 2]
    tokens = tokens_of(config, lengths)
    together = packed_logits(model, tokens, lengths).split(lengths)
    for row, logits in zip(tokens.split(lengths), together, strict=True):
        torch.testing.assert_close(packed_logits(model, row, [len(row)]), logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_gets_a_gradient(family) -> None:
    config = random_config(family, 1)
    model, lengths = random_decoder(config), [20, 30]
    packed_logits(model, tokens_of(config, lengths), lengths).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_reset_depends_on_the_seed_alone() -> None:
    config = random_config("glm4_moe", 0)
    models = [Decoder(config) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        torch.rand(1)
        model.reset(seed)
    first, same, other = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_reset_makes_a_nearly_uniform_model() -> None:
    config = DecoderConfig(
        family="qwen3", vocab_size=50, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4
    )
    model = Decoder(config)
    model.reset(0)
    logp = packed_logits(model, tokens_of(config, [40]), [40]).log_softmax(-1)
    assert logp.std() < 0.3


def test_building_a_model_leaves_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    Decoder(random_config("llama", 0)).reset(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_copies_and_conversions_keep_the_logits() -> None:
    config = random_config("glm4", 2)
    model, lengths = random_decoder(config), [6]
    tokens = tokens_of(config, lengths)
    expected = packed_logits(model, tokens, lengths)
    assert torch.equal(packed_logits(copy.deepcopy(model), tokens, lengths), expected)
    torch.testing.assert_close(packed_logits(model.double(), tokens, lengths), expected, atol=1e-4, rtol=1e-4)


def test_norm_and_its_gradient() -> None:
    norm = RMSNorm(6, 1e-5).double()
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(4, 3, 6, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (6,), norm.weight, 1e-5))
    assert torch.autograd.gradcheck(norm, x)
    assert torch.autograd.gradcheck(lambda w: torch.func.functional_call(norm, {"weight": w}, x.detach()), norm.weight)
