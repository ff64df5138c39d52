"""The C kernels of the layers against PyTorch's operators in fp64, values and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from espalier.lm.attention import KERNEL, PackedAttention
from espalier.lm.layers.mlp import swiglu
from espalier.lm.layers.norm import RMSNorm
from espalier.lm.layers.rotary import Rotation
from espalier.lm.native import linear as native_linear
from espalier.lm.native.attention import RowPlan
from espalier.lm.native.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler")


def gradients(out: Tensor, inputs: Sequence[Tensor], seed: int = 9) -> list[Tensor]:
    """The output, and the gradients of its product with random numbers."""
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    return [out.detach(), *torch.autograd.grad(out, list(inputs), upstream.to(out.dtype))]


def leaf(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def double(x: Tensor) -> Tensor:
    return x.detach().double().requires_grad_()


def uses(out: Tensor, function: str) -> bool:
    """Whether the kernel's function is behind `out`, through views of it."""
    node = out.grad_fn
    while node is not None and "View" in type(node).__name__:
        node = node.next_functions[0][0]
    return type(node).__name__ == f"_{function}Backward"


def assert_same(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.double(), b, atol=2e-5, rtol=2e-5)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 70), size=st.integers(1, 50), seed=st.integers(0, 99))
def test_swiglu(n: int, size: int, seed: int) -> None:
    gate, up = leaf(n, size, seed=seed), leaf(n, size, seed=seed + 1)
    out = swiglu(gate, up)
    assert uses(out, "SwiGLU")
    wide_gate, wide_up = double(gate), double(up)
    assert_same(gradients(out, (gate, up)), gradients(F.silu(wide_gate) * wide_up, (wide_gate, wide_up)))


def test_swiglu_of_halves_of_one_matrix_and_of_large_numbers() -> None:
    both = torch.tensor([[0.0, 200.0, -200.0, 2.0, 3.0, 5.0]], requires_grad=True)
    out = swiglu(*both.chunk(2, dim=-1))
    assert uses(out, "SwiGLU")
    torch.testing.assert_close(out, torch.tensor([[0.0, 600.0, 0.0]]))
    out.sum().backward()
    assert both.grad is not None
    torch.testing.assert_close(both.grad, torch.tensor([[1.0, 3.0, 0.0, 0.0, 200.0, 0.0]]))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 150), size=st.integers(1, 50), seed=st.integers(0, 99))
def test_norm(n: int, size: int, seed: int) -> None:
    norm, x = RMSNorm(size, 1e-5), leaf(n, size, seed=seed)
    torch.nn.init.normal_(norm.weight)
    out = norm(x)
    assert uses(out, "NormTurn")
    wide_x, wide_weight = double(x), double(norm.weight)
    expected = F.rms_norm(wide_x, (size,), wide_weight, 1e-5)
    assert_same(gradients(out, (x, norm.weight)), gradients(expected, (wide_x, wide_weight)))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(("dim", "width"), [(16, 16), (24, 8), (6, 2)])
def test_rotation(interleaved: bool, normed: bool, dim: int, width: int) -> None:
    frequencies, x = torch.rand(width // 2, generator=torch.Generator().manual_seed(1)), leaf(9, 3, dim, seed=2)
    norm = RMSNorm(dim, 1e-6) if normed else None
    if norm is not None:
        torch.nn.init.normal_(norm.weight)
    positions = torch.arange(9)
    narrow, wide = (
        Rotation(positions, frequencies, dtype, interleaved=interleaved, magnitude=1.2)
        for dtype in (torch.float32, torch.float64)
    )
    out = narrow(x, norm)
    assert uses(out, "NormTurn")
    wide_x = double(x)
    if norm is None:
        assert_same(gradients(out, (x,)), gradients(wide(wide_x), (wide_x,)))
        return
    weight = double(norm.weight)
    expected = wide(F.rms_norm(wide_x, (dim,), weight, 1e-6))
    assert_same(gradients(out, (x, norm.weight)), gradients(expected, (wide_x, weight)))


def test_a_frozen_norm_has_no_gradient_of_its_weight() -> None:
    norm, x = RMSNorm(8, 1e-5).requires_grad_(False), leaf(5, 8, seed=0)
    norm(x).sum().backward()
    assert norm.weight.grad is None
    assert x.grad is not None


@st.composite
def rows_that_share(draw: st.DrawFn) -> tuple[list[int], np.ndarray]:
    """Lengths of rows and their tokens among all: each row begins alone, or with the first tokens of an earlier one."""
    rows: list[list[int]] = []
    count = 0
    for _ in range(draw(st.integers(1, 6))):
        start: list[int] = []
        if rows and draw(st.booleans()):
            earlier = draw(st.sampled_from(rows))
            start = earlier[: draw(st.integers(0, len(earlier)))]
        new = draw(st.integers(0 if start else 1, 45))
        rows.append([*start, *range(count, count + new)])
        count += new
    return [len(row) for row in rows], np.array([token for row in rows for token in row])


def loop(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], flat: np.ndarray) -> Tensor:
    """Attention row by row; a token that rows share is computed in each, with the same result."""
    out, start = torch.zeros_like(q), 0
    for length in lengths:
        at = torch.from_numpy(flat[start : start + length])
        a, b, c = (x[at].transpose(0, 1) for x in (q, k, v))
        attended = F.scaled_dot_product_attention(a, b, c, is_causal=True, enable_gqa=True).transpose(0, 1)
        mine = torch.tensor([token not in flat[:start] for token in flat[start : start + length]])
        out = out.index_copy(0, at[mine], attended[mine])
        start += length
    return out


@settings(max_examples=60, deadline=None)
@given(rows=rows_that_share(), kv_heads=st.integers(1, 2), group=st.integers(1, 3), dim=st.sampled_from([16, 32, 48]))
def test_attention(rows: tuple[list[int], np.ndarray], kv_heads: int, group: int, dim: int) -> None:
    lengths, flat = rows
    n = int(flat.max()) + 1
    q, k, v = (leaf(n, heads, dim, seed=n + i) for i, heads in enumerate((kv_heads * group, kv_heads, kv_heads)))
    out = PackedAttention(lengths, flat=flat)(0, q, k, v)
    assert uses(out, "RowAttention")
    wide = double(q), double(k), double(v)
    assert_same(gradients(out, (q, k, v)), gradients(loop(*wide, lengths, flat), wide))


def test_attention_of_two_tokens_by_hand() -> None:
    """With keys e1 and e2 and the query ln 3 * sqrt(16) * e1, the probabilities are 3/4 and 1/4."""
    q, k, v = torch.zeros(3, 2, 1, 16).unbind()
    k[0, 0, 0] = k[1, 0, 1] = 1.0
    q[1, 0, 0] = 4.0 * float(np.log(3))
    v[0], v[1] = 1.0, 5.0
    out = PackedAttention([2])(0, q, k, v)
    torch.testing.assert_close(out[0], v[0])
    torch.testing.assert_close(out[1], torch.full((1, 16), 2.0))


def test_rows_beyond_the_kernel_take_the_other_path() -> None:
    q = leaf(KERNEL + 1, 1, 16, seed=0)
    assert not uses(PackedAttention([KERNEL + 1])(0, q, q, q), "RowAttention")


def test_a_plan_refuses_rows_that_share_tokens_later_on() -> None:
    for lengths, flat in (([2, 2], [0, 1, 2, 1]), ([2, 2, 2], [0, 1, 2, 3, 0, 2]), ([2, 2, 2], [0, 1, 2, 3, 0, 3])):
        with pytest.raises(ValueError, match="at their beginning only"):
            RowPlan(np.array(lengths), np.array(flat))


def test_attention_refuses_other_numbers_of_tokens_and_mixed_types() -> None:
    q, k = torch.zeros(3, 1, 16), torch.zeros(4, 1, 16)
    with pytest.raises(ValueError, match="have 3 tokens; q, k and v have 3, 4 and 4"):
        PackedAttention([3])(0, q, k, k)
    with pytest.raises(ValueError, match="float64"):
        PackedAttention([3])(0, q, q.double(), q)
    with pytest.raises(ValueError, match="two matrices of one shape"):
        swiglu(torch.zeros(2, 4), torch.zeros(2, 3))


@pytest.mark.parametrize("upstream", ["expanded", "transposed"])
def test_gradients_that_are_not_contiguous(upstream: str) -> None:
    lengths, n, flat = [400, 300], 700, np.arange(700)
    q, k, v = (leaf(n, 2, 32, seed=i) for i in range(3))
    wide = double(q), double(k), double(v)
    grad = torch.ones(()).expand(n, 2, 32)
    if upstream == "transposed":
        grad = torch.randn(2, n, 32, generator=torch.Generator().manual_seed(5)).transpose(0, 1)
    ours = torch.autograd.grad(PackedAttention(lengths)(0, q, k, v), (q, k, v), grad)
    assert_same(ours, torch.autograd.grad(loop(*wide, lengths, flat), wide, grad.double()))


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of any size, on any processor, by oneDNN."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("PyTorch without oneDNN")
    monkeypatch.setattr(native_linear, "LARGE", 0)
    monkeypatch.setattr(native_linear, "_faster", lambda: True)


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("n", "inputs", "outputs"), [(1, 1, 1), (33, 70, 19), (5, 64, 128)])
def test_linear(biased: bool, n: int, inputs: int, outputs: int) -> None:
    x, weight = leaf(n, inputs, seed=1), leaf(outputs, inputs, seed=2)
    bias = leaf(outputs, seed=3) if biased else None
    out = native_linear.linear(x, weight, bias)
    assert uses(out, "Linear")
    ours, theirs = ([t for t in (x, weight, bias) if t is not None] for _ in range(2))
    theirs = [double(t) for t in theirs]
    assert_same(gradients(out, ours), gradients(F.linear(*theirs), theirs))
    torch.testing.assert_close(native_linear.product(x, weight), x @ weight.t(), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("onednn")
def test_a_frozen_linear_layer_keeps_no_input() -> None:
    x, weight = leaf(4, 8, seed=1), leaf(6, 8, seed=2).requires_grad_(False)
    native_linear.linear(x, weight).sum().backward()
    assert weight.grad is None
    assert x.grad is not None
    torch.testing.assert_close(x.grad, weight.sum(0).expand(4, 8))


def test_other_types_and_no_tokens_stay_with_torch(onednn: None) -> None:
    x, weight = leaf(4, 8, seed=1), leaf(6, 8, seed=2)
    assert not uses(native_linear.linear(double(x), double(weight)), "Linear")
    assert native_linear.linear(x[:0], weight).shape == (0, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert native_linear.linear(x, weight).dtype == torch.bfloat16


def results(run: Callable[[], list[Tensor]], threads: int) -> list[Tensor]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return run()
    finally:
        torch.set_num_threads(before)


def test_nothing_depends_on_the_number_of_threads() -> None:
    lengths = [70, 33, 90, 5, 61]
    n = sum(lengths)
    q, k, v, x = leaf(n, 4, 32, seed=1), leaf(n, 2, 32, seed=2), leaf(n, 2, 32, seed=3), leaf(n, 128, seed=4)
    norm = RMSNorm(128, 1e-5)

    def run() -> list[Tensor]:
        attended = gradients(PackedAttention(lengths)(0, q, k, v), (q, k, v))
        return attended + gradients(norm(x), (x, norm.weight)) + gradients(swiglu(x, x * 2), (x,))

    for one, two in zip(results(run, 1), results(run, 3), strict=True):
        assert torch.equal(one, two)


def test_a_token_does_not_depend_on_other_rows() -> None:
    q, k, v = leaf(60, 4, 32, seed=1), leaf(60, 2, 32, seed=2), leaf(60, 2, 32, seed=3)
    alone = PackedAttention([37])(0, q[:37], k[:37], v[:37])
    assert torch.equal(PackedAttention([37, 23])(0, q, k, v)[:37], alone)
