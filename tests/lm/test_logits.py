import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import random_config, random_decoder

from espalier.lm.logits import logprobs


def _plain(weight, hidden, targets, temperature):
    logp = (hidden @ weight.t() / temperature).log_softmax(-1)
    return logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(-1)


@settings(max_examples=40)
@given(
    m=st.integers(0, 9),
    rows=st.integers(1, 10),
    temperature=st.sampled_from([1.0, 0.6, 1.7]),
    entropy=st.booleans(),
    seed=st.integers(0, 20),
)
def test_equals_the_plain_formula_with_gradients(m, rows, temperature, entropy, seed) -> None:
    model = random_decoder(random_config("llama", seed)).double()
    config = model.config
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(m, config.hidden_size, generator=generator, dtype=torch.double, requires_grad=True)
    targets = torch.randint(config.vocab_size, (m,), generator=generator)
    up = torch.randn(2, m, generator=generator, dtype=torch.double)
    ours = logprobs(model, hidden, targets, temperature=temperature, entropy=entropy, chunk=rows * config.vocab_size)
    slow = _plain(model.head_weight, hidden, targets, temperature)
    assert (ours[1] is None) == (not entropy)
    grads = []
    for chosen, spread in (ours, slow):
        loss = (chosen * up[0]).sum() + ((spread * up[1]).sum() if entropy else 0)
        grads.append(torch.autograd.grad(loss, (hidden, model.head_weight)))
    torch.testing.assert_close(ours[0], slow[0], check_dtype=False)
    if entropy:
        torch.testing.assert_close(ours[1], slow[1], check_dtype=False)
    for fast, expected in zip(*grads, strict=True):
        torch.testing.assert_close(fast, expected)


def test_hand_computed() -> None:
    """Two tokens with logits (ln 3, 0): p = 3/4, 1/4."""
    model = random_decoder(random_config("llama", 0).model_copy(update={"vocab_size": 2, "hidden_size": 1}))
    with torch.no_grad():
        model.head_weight.copy_(torch.tensor([[3.0], [1.0]]).log())
    chosen, entropy = logprobs(model, torch.ones(2, 1), torch.tensor([0, 1]), entropy=True)
    assert chosen.exp().tolist() == pytest.approx([0.75, 0.25])
    assert entropy.tolist() == pytest.approx([0.5623351] * 2)
    cold, _ = logprobs(model, torch.ones(1, 1), torch.tensor([0]), temperature=0.5)
    assert cold.exp().tolist() == pytest.approx([0.9])


def test_never_holds_all_logits() -> None:
    """8 chunks of [16, 50]: no tensor of the whole [128, 50] is saved for the backward pass."""
    model = random_decoder(random_config("qwen3", 0).model_copy(update={"vocab_size": 50}))
    hidden = torch.randn(128, model.config.hidden_size, requires_grad=True)
    saved: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        chosen, _ = logprobs(model, hidden, torch.zeros(128, dtype=torch.long), chunk=16 * 50, entropy=True)
    assert max(saved) <= max(hidden.numel(), model.head_weight.numel())
    chosen.sum().backward()
    assert hidden.grad is not None


def test_frozen_head_and_second_backward() -> None:
    model = random_decoder(random_config("qwen3", 0)).requires_grad_(False)
    hidden = torch.randn(4, model.config.hidden_size, requires_grad=True)
    chosen, _ = logprobs(model, hidden, torch.arange(4))
    first = torch.autograd.grad(chosen.sum(), hidden, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(chosen.sum(), hidden)[0], first)
