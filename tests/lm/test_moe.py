import pytest
import torch
from tiny_models import packed_logits, random_config, random_decoder, tokens_of

from espalier.lm.attention import PackedAttention, packed_positions
from espalier.lm.config import DecoderConfig, MoEConfig
from espalier.lm.layers.moe import Experts, Router, Routing

LENGTHS = [5, 8]


def _config(**changes) -> MoEConfig:
    return MoEConfig(**{"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 3, **changes})


def test_experts_equal_a_loop_over_tokens() -> None:
    experts = Experts(_config(), 5).double()
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter)
    x, weights = torch.randn(7, 5, dtype=torch.double), torch.rand(7, 2, dtype=torch.double)
    chosen = torch.tensor([[0, 1], [1, 0], [3, 1], [0, 3], [3, 0], [1, 3], [0, 1]])  # nobody chooses 2
    for token in range(7):
        expected = torch.zeros(5, dtype=torch.double)
        for e, weight in zip(chosen[token], weights[token], strict=True):
            gate, up = (experts.gate_up_proj[e] @ x[token]).chunk(2)
            expected += weight * (experts.down_proj[e] @ (torch.nn.functional.silu(gate) * up))
        torch.testing.assert_close(experts(x, weights, chosen)[token], expected)


def test_bias_changes_the_choice_but_not_the_weights() -> None:
    router = Router(_config(norm_topk_prob=False, routed_scaling_factor=2.0), 2)
    with torch.no_grad():
        router.weight.copy_(torch.tensor([[3.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 0.0]]))
    x = torch.tensor([[1.0, 0.0]])
    _, experts = router(x)
    assert set(experts[0].tolist()) == {0, 1}
    router.e_score_correction_bias[3] = 1.0
    weights, experts = router(x)
    assert set(experts[0].tolist()) == {0, 3}
    expected = {0: 2 / (1 + torch.tensor(-3.0).exp().item()), 3: 1.0}
    assert dict(zip(experts[0].tolist(), weights[0].tolist(), strict=True)) == pytest.approx(expected)


def test_groups_limit_the_choice() -> None:
    """Group sums of the best two: 0.9 + 0.1 loses to 0.6 + 0.6, although 0.9 is the best expert."""
    router = Router(_config(n_group=2, topk_group=1, norm_topk_prob=True), 1)
    scores = torch.tensor([0.9, 0.1, 0.6, 0.6])
    with torch.no_grad():
        router.weight.copy_(scores.logit()[:, None])
    weights, experts = router(torch.ones(1, 1))
    assert set(experts[0].tolist()) == {2, 3}
    assert weights[0].tolist() == pytest.approx([0.5, 0.5])


def test_record_and_replay() -> None:
    config = random_config("glm4_moe", 1)
    model, tokens = random_decoder(config), tokens_of(config, LENGTHS)
    inputs = (tokens, packed_positions(LENGTHS), PackedAttention(LENGTHS))
    record = Routing()
    hidden = model(*inputs, routing=record)
    sparse = sum(config.sparse(layer) for layer in range(config.num_hidden_layers))
    assert record.experts.shape == (13, sparse, 2)

    again = Routing(record.experts)
    assert torch.equal(model(*inputs, routing=again), hidden)
    assert torch.equal(again.experts, record.experts)

    with torch.no_grad():  # the router changes its mind; the replay does not
        for name, parameter in model.named_parameters():
            if name.endswith("gate.weight"):
                parameter.neg_()
    free, held = Routing(), Routing(record.experts)
    model(*inputs, routing=free)
    replayed = model(*inputs, routing=held)
    assert not torch.equal(free.experts.sort(-1).values, record.experts.sort(-1).values)
    assert torch.equal(held.experts, record.experts)
    replayed.sum().backward()
    assert all(p.grad.abs().sum() > 0 for n, p in model.named_parameters() if n.endswith("gate.weight"))


def test_without_tokens_of_its_own_an_expert_gets_no_gradient() -> None:
    config = random_config("glm4_moe", 1)
    model, tokens = random_decoder(config), tokens_of(config, LENGTHS)
    sparse = sum(config.sparse(layer) for layer in range(config.num_hidden_layers))
    routing = Routing(torch.tensor([[0, 1]] * 13)[:, None].expand(-1, sparse, -1))
    model(tokens, packed_positions(LENGTHS), PackedAttention(LENGTHS), routing=routing).sum().backward()
    (down,) = (
        p
        for n, p in model.named_parameters()
        if n == f"model.layers.{len(model.model.layers) - 1}.mlp.experts.down_proj"
    )
    assert [bool(g.abs().sum() > 0) for g in down.grad] == [True, True] + [False] * 6


def test_logits_do_not_depend_on_the_company() -> None:
    config = random_config("glm4_moe", 4)
    model, tokens = random_decoder(config), tokens_of(config, LENGTHS)
    alone = packed_logits(model, tokens[:5], [5])
    torch.testing.assert_close(packed_logits(model, tokens, LENGTHS)[:5], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_group": 3},
        {"n_group": 4},
        {"n_group": 2, "topk_group": 3},
        {"n_group": 2, "topk_group": 1, "num_experts_per_tok": 3},
        {"num_experts_per_tok": 5},
    ],
)
def test_impossible_routing_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"experts|greater than"):
        _config(**wrong)


def test_only_the_sparse_family_has_experts() -> None:
    dense = {
        "vocab_size": 9,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    with pytest.raises(ValueError, match="moe"):
        DecoderConfig(family="glm4_moe", **dense)
    with pytest.raises(ValueError, match="moe"):
        DecoderConfig(family="llama", moe=_config(), **dense)
