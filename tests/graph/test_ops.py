"""The operators: gradients, and agreement of kernels, plain PyTorch and PyTorch Geometric."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from graphs import random_graph
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from espalier.core import kernels
from espalier.graph.nn.edge_transformer import EdgeTransformer
from espalier.graph.nn.gat import GAT
from espalier.graph.nn.gcn import GCN
from espalier.graph.nn.gin import GIN
from espalier.graph.nn.sage import SAGE
from espalier.graph.ops import library
from espalier.graph.ops.attention import attend, attend_heads, attend_plain, edge_softmax
from espalier.graph.ops.csr import CSR, SparseMatrix
from espalier.graph.ops.dropout import dropout
from espalier.graph.ops.features import Corrupted, project
from espalier.graph.ops.loops import drop_edges, gcn_weights, with_loops, without_loops
from espalier.graph.ops.prelu import PReLU
from espalier.graph.ops.spmm import matmul, sampled_dot, spmm

DOUBLE = torch.float64


@pytest.fixture(params=["kernels", "plain"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways through every operator."""
    if request.param == "plain":
        monkeypatch.setenv("ESPALIER_KERNELS", "off")
    elif library.load("double") is None:
        pytest.skip("no C compiler")
    return request.param


def pattern(rows: int = 7, columns: int = 8, entries: int = 20, seed: int = 0) -> CSR:
    """Random entries, some twice, and some rows and columns empty."""
    generator = torch.Generator().manual_seed(seed)
    row = torch.randint(rows - 1, (entries,), generator=generator)
    return CSR.from_pairs(row, torch.randint(columns, (entries,), generator=generator), rows, columns)


def values(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def as_dense(csr: CSR, weights: Tensor) -> Tensor:
    out = torch.zeros(csr.n_rows, csr.n_cols, dtype=weights.dtype)
    return out.index_put((csr.rows, csr.columns), weights, accumulate=True)


def test_spmm(path: str) -> None:
    csr, x, w = pattern(), values(8, 5), values(20, seed=2)
    torch.testing.assert_close(spmm(csr, x, w), as_dense(csr, w) @ x)
    torch.testing.assert_close(spmm(csr, x), as_dense(csr, torch.ones(20, dtype=DOUBLE)) @ x)
    assert torch.autograd.gradcheck(lambda x, w: spmm(csr, x, w), (x, w))


def test_sampled_dot(path: str) -> None:
    csr, a, b = pattern(), values(7, 5), values(8, 5, seed=2)
    torch.testing.assert_close(sampled_dot(csr, a, b), (a @ b.t())[csr.rows, csr.columns])
    assert torch.autograd.gradcheck(lambda a, b: sampled_dot(csr, a, b), (a, b))


@pytest.mark.parametrize("shared", [False, True])
def test_attention_against_a_loop_over_rows(path: str, shared: bool) -> None:
    csr, keep = pattern(), (torch.rand(20, 3) > 0.3).to(DOUBLE)
    z = values(8, 4) if shared else values(8, 3, 4)
    source, target = values(8, 3, seed=2), values(7, 3, seed=3)
    out = attend(csr, z, source, target, keep)
    for i in range(7):
        entries = slice(int(csr.indptr[i]), int(csr.indptr[i + 1]))
        near = csr.columns[entries]
        for h in range(3):
            logits = F.leaky_relu(source[near, h] + target[i, h], 0.2)
            weights = logits.softmax(0) * keep[entries, h]
            seen = z[near] if shared else z[near, h]
            torch.testing.assert_close(out[i, h], weights @ seen)
    assert torch.autograd.gradcheck(lambda *given: attend(csr, *given, keep), (z, source, target))


def test_attention_with_logits_of_its_own(path: str) -> None:
    csr, rows = pattern(), torch.tensor([1, 3, 3, 0, 7, 2, 5])
    z, a, b = values(8, 3, 4), values(3, 4, seed=2), values(3, 4, seed=3)
    plain = attend_plain(csr, z, (z * a).sum(-1), (z * b).sum(-1)[rows])
    torch.testing.assert_close(attend_heads(csr, z, a, b, rows), plain)
    assert torch.autograd.gradcheck(lambda *given: attend_heads(csr, *given, rows), (z, a, b))


def test_softmax_is_shift_invariant_and_survives_large_logits() -> None:
    csr, logits = pattern(), torch.randn(20, 2, dtype=DOUBLE)
    torch.testing.assert_close(edge_softmax(csr, logits), edge_softmax(csr, logits + 1000.0))
    z = torch.randn(8, 2, 3)
    out = attend(csr, z, torch.full((8, 2), 300.0), torch.full((7, 2), 300.0))
    assert out.isfinite().all()


def test_prelu(path: str) -> None:
    module, x = PReLU().double(), values(5, 4)
    torch.testing.assert_close(module(x), F.prelu(x, module.weight))
    call = lambda x, w: torch.func.functional_call(module, {"weight": w}, x)  # noqa: E731
    assert torch.autograd.gradcheck(call, (x, module.weight))


def test_dropout_keeps_the_share_and_scale_and_repeats_its_mask_backward(path: str) -> None:
    torch.manual_seed(3)
    x = torch.ones(400, 500, requires_grad=True)
    out = dropout(x, 0.2, True)
    kept = out != 0
    assert abs(float(kept.float().mean()) - 0.8) < 0.005
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1.25))
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach())
    rows, columns = kept.float().mean(1), kept.float().mean(0)
    assert rows.std() < 0.03  # binomial: 0.018 and 0.020
    assert columns.std() < 0.03
    assert not torch.equal(dropout(x, 0.2, True) != 0, kept)
    assert dropout(x, 0.2, False) is x


def test_dropout_masks_of_neighbours_do_not_correlate() -> None:
    torch.manual_seed(0)
    mask = (dropout(torch.ones(1 << 20), 0.5, True) != 0).float() - 0.5
    for shift in (1, 2, 3, 64, 1 << 14):
        assert abs(float((mask[:-shift] * mask[shift:]).mean()) * 4) < 0.005


@given(st.integers(0, 12), st.integers(1, 9), st.integers(0, 40), st.integers(0, 10**6))
def test_transposing_twice_gives_the_pattern_back(rows: int, columns: int, entries: int, seed: int) -> None:
    csr = pattern(rows + 2, columns, entries, seed)
    transposed, position = csr.transposed
    assert torch.equal(csr.columns[position], transposed.rows)
    assert torch.equal(csr.rows[position], transposed.columns)
    again, back = transposed.transposed
    assert torch.equal(again.indptr, csr.indptr)
    assert torch.equal(position[back].sort().values, torch.arange(entries))


def test_plain_transpose_equals_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    csr = pattern()
    fast, position = csr.transposed
    monkeypatch.setenv("ESPALIER_KERNELS", "off")
    slow, same = CSR(csr.indptr, csr.indices, csr.n_cols).transposed
    assert torch.equal(position, same)
    assert torch.equal(fast.indices, slow.indices)
    assert torch.equal(fast.indptr, slow.indptr)


def test_loops_and_dropped_edges() -> None:
    csr = random_graph().adj
    looped = with_loops(csr)
    assert looped.nnz == csr.nnz + csr.n_rows
    back = without_loops(looped)
    assert torch.equal(back.indices, csr.indices)
    torch.manual_seed(0)
    fewer = drop_edges(csr, 0.5)
    assert 0 < fewer.nnz < csr.nnz
    assert set(zip(fewer.rows.tolist(), fewer.columns.tolist(), strict=True)) <= set(
        zip(csr.rows.tolist(), csr.columns.tolist(), strict=True)
    )


def test_results_do_not_depend_on_threads() -> None:
    graph = random_graph(400, 3000)
    layer = GAT(12, 32, 4)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        layer.zero_grad()
        out = attend_heads(
            graph.looped, project(graph.x, layer.weight).view(-1, 4, 8), layer.source[0], layer.target[0]
        )
        out.square().sum().backward()
        results.append((out.detach(), layer.weight.grad.clone(), layer.source.grad.clone()))
    assert all(torch.equal(a, b) for a, b in zip(results[0][:2], results[1][:2], strict=True))


def test_sparse_matrix_and_its_product(path: str) -> None:
    x = torch.randn(9, 6, dtype=DOUBLE) * (torch.rand(9, 6) < 0.4)
    sparse, weight = SparseMatrix.from_dense(x), values(6, 4)
    torch.testing.assert_close(sparse.dense(), x)
    torch.testing.assert_close(matmul(sparse, weight), x @ weight)
    rows = torch.tensor([3, 3, 0, 8])
    torch.testing.assert_close(sparse.take(rows).dense(), x[rows])


@pytest.mark.parametrize("sparse", [True, False])
def test_corrupted_features_project_as_their_dense_form(sparse: bool) -> None:
    graph = random_graph(sparse=sparse)
    hidden, shows = torch.tensor([2, 5, 7]), torch.arange(30).roll(1)
    token = torch.randn(1, 12, requires_grad=True)
    seen = Corrupted(graph.x, hidden, token, shows)
    weight = torch.randn(12, 4)
    torch.testing.assert_close(project(seen, weight), seen.dense() @ weight)


@pytest.mark.parametrize("mine", ["gat", "gcn", "sage", "gin"])
def test_layers_agree_with_pytorch_geometric(mine: str, path: str) -> None:
    from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv

    graph = random_graph(sparse=False)
    edges = torch.stack([graph.looped.columns, graph.looped.rows])
    if mine == "gat":
        layer, peer = GAT(12, 8, 2), GATConv(12, 4, 2, add_self_loops=False)
        with torch.no_grad():
            peer.lin.weight.copy_(layer.weight.t())
            peer.att_src.copy_(layer.source)
            peer.att_dst.copy_(layer.target)
            peer.bias.copy_(layer.bias.normal_())
    elif mine == "gcn":
        layer, peer = GCN(12, 8), GCNConv(12, 8, add_self_loops=False)
        with torch.no_grad():
            peer.lin.weight.copy_(layer.weight.t())
            peer.bias.copy_(layer.bias.normal_())
    elif mine == "sage":
        layer, peer = SAGE(12, 8), SAGEConv(12, 8)
        with torch.no_grad():
            peer.lin_r.weight.copy_(layer.both.weight[:8])
            peer.lin_l.weight.copy_(layer.both.weight[8:])
            peer.lin_l.bias.copy_(layer.bias.normal_())
    else:
        layer = GIN(12, 8, bare=True)
        peer = GINConv(layer.mlp)
    torch.testing.assert_close(layer(graph.looped, graph.x), peer(graph.x, edges), rtol=1e-5, atol=1e-6)


def test_the_graph_transformer_against_dense_attention() -> None:
    graph, layer = random_graph(sparse=False), EdgeTransformer(12, 8, 2)
    own, q, k, v = layer.all(graph.x).split(8, 1)
    mask = as_dense(graph.looped, torch.ones(graph.looped.nnz)) > 0
    heads = [part.view(30, 2, 4).transpose(0, 1).unsqueeze(0) for part in (q, k, v)]
    mixed = F.scaled_dot_product_attention(*heads, attn_mask=mask).squeeze(0).transpose(0, 1).reshape(30, 8)
    torch.testing.assert_close(layer(graph.looped, graph.x), own + mixed + layer.bias, rtol=1e-5, atol=1e-6)


def test_gcn_weights_are_the_symmetric_normalisation() -> None:
    csr = random_graph().looped
    a = as_dense(csr, torch.ones(csr.nnz))
    scale = a.sum(1).rsqrt()
    torch.testing.assert_close(as_dense(csr, gcn_weights(csr)), scale[:, None] * a * scale)


def test_without_a_compiler_a_warning_says_so_once(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernels._opened.cache_clear()
    library._warn_once.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="could not be compiled.*Install a C compiler") as caught:
            assert [library.load(name) for name in ("float", "float", "double")] == [None] * 3
        assert len(caught) == 1
        csr = pattern()
        assert spmm(csr, torch.ones(8, 2)).shape == (7, 2)
    finally:
        kernels._opened.cache_clear()
        library._warn_once.cache_clear()
