"""PageRank, contexts, neighbour samples, and graphs on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from graphs import random_graph

from espalier.core.errors import DataError
from espalier.graph.data.graph import Graph
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.features import dense
from espalier.graph.sampling.clusters import Clusters, induced
from espalier.graph.sampling.config import ContextConfig
from espalier.graph.sampling.neighbours import Neighbours, draw, sample
from espalier.graph.sampling.ppr import ppr
from espalier.graph.sampling.rmat import rmat_edges, write_rmat
from espalier.graph.sampling.store import open_store, write_store


@pytest.fixture(params=["kernels", "plain"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain":
        monkeypatch.setenv("ESPALIER_KERNELS", "off")
    return request.param


def exact(csr: CSR, teleport: float) -> torch.Tensor:
    """Row s: the PageRank personalised to s, by a dense solve; a node without neighbours keeps what it has."""
    a = torch.zeros(csr.n_rows, csr.n_rows, dtype=torch.float64)
    a[csr.rows, csr.columns] = 1.0
    a += torch.diag((a.sum(1) == 0).double())
    walk = a / a.sum(1, keepdim=True)
    return teleport * torch.linalg.inv(torch.eye(len(a), dtype=torch.float64) - (1 - teleport) * walk)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_pushing_against_a_dense_solve(path: str, tolerance: float) -> None:
    csr = random_graph(40, 80).adj
    found = ppr(csr, teleport=0.2, tolerance=tolerance, keep=40)
    scores = torch.zeros(40, 40, dtype=torch.float64)
    pattern, values = found.matrix(40)
    scores[pattern.rows, pattern.columns] = values.double()
    gap = exact(csr, 0.2) - scores
    assert gap.min() > -1e-6  # pushing never gives too much
    assert bool(
        (gap <= tolerance * csr.degree.clamp(min=1) + 1e-6).all()
    )  # and misses by at most this: Andersen et al.


def test_contexts_begin_with_the_seed_and_fall(path: str) -> None:
    csr = random_graph(60, 200).adj
    found = ppr(csr, torch.tensor([5, 17]), keep=10, tolerance=1e-4)
    assert found.nodes[:, 0].tolist() == [5, 17]
    assert bool((found.scores[:, 1:].diff() <= 0).all())
    full = ppr(csr, torch.tensor([5]), keep=60, tolerance=1e-4)
    assert set(found.nodes[0].tolist()) == set(full.nodes[0, :10].tolist())


def test_the_kernel_and_python_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    csr = random_graph(60, 200).adj
    for options in ({}, {"by_degree": True}, {"limit": 5}, {"keep": 3}):
        fast = ppr(csr, tolerance=1e-3, **{"keep": 60, **options})
        monkeypatch.setenv("ESPALIER_KERNELS", "off")
        slow = ppr(csr, tolerance=1e-3, **{"keep": 60, **options})
        monkeypatch.delenv("ESPALIER_KERNELS")
        torch.testing.assert_close(fast.scores, slow.scores, rtol=1e-4, atol=1e-6)
        assert torch.equal(fast.counts, slow.counts)


def test_pagerank_refuses_nodes_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="nodes of 0 to 29"):
        ppr(random_graph().adj, torch.tensor([30]))


def test_induced_subgraphs(path: str) -> None:
    graph = random_graph(50, 200)
    groups = [torch.tensor([3, 7, 1, 40]), torch.tensor([7]), torch.randperm(50)[:20]]
    ptr = torch.tensor([0, 4, 5, 25])
    found = induced(graph.adj, torch.cat(groups), ptr)
    edges = set(zip(graph.adj.rows.tolist(), graph.adj.columns.tolist(), strict=True))
    expected = {
        (int(ptr[g]) + i, int(ptr[g]) + j)
        for g, nodes in enumerate(groups)
        for i, a in enumerate(nodes.tolist())
        for j, b in enumerate(nodes.tolist())
        if (a, b) in edges
    }
    assert set(zip(found.rows.tolist(), found.columns.tolist(), strict=True)) == expected
    assert found.nnz == len(expected)


def test_a_batch_of_contexts(path: str) -> None:
    graph = random_graph(50, 200)
    (batch,) = Clusters(graph, 4, ContextConfig(size=6)).around(torch.tensor([9, 2, 30, 0]))
    assert batch.n_graphs == 4
    assert torch.equal(dense(batch.x)[batch.targets], dense(graph.x)[[9, 2, 30, 0]])
    assert batch.y.tolist() == graph.y[[9, 2, 30, 0]].tolist()
    assert bool((batch.member[batch.adj.rows] == batch.member[batch.adj.columns]).all())


def test_an_epoch_of_contexts_has_every_node_once() -> None:
    graph = random_graph(50, 200)
    clusters = Clusters(graph, 7, ContextConfig(size=3))
    labels = torch.cat([batch.y for batch in clusters.epoch(0, 0)])
    assert labels.sort().values.tolist() == graph.y.sort().values.tolist()
    assert Clusters(graph, 7, ContextConfig(seeds_per_epoch=10)).steps == 2


def test_neighbours_are_distinct_real_and_uniform(path: str) -> None:
    csr = random_graph(40, 300).adj
    nodes = torch.arange(40)
    counts = torch.zeros(40, 40)
    for seed in range(200):
        drawn = draw(csr, nodes, 3, seed)
        for row in range(40):
            found = drawn[row][drawn[row] >= 0].tolist()
            own = csr.columns[csr.indptr[row] : csr.indptr[row + 1]].tolist()
            assert len(set(found)) == len(found) == min(3, len(own))
            assert set(found) <= set(own)
            counts[row, found] += 1
    row = int(csr.degree.argmax())
    own = csr.columns[csr.indptr[row] : csr.indptr[row + 1]]
    expected = 200 * 3 / own.numel()
    assert bool(((counts[row, own] - expected).abs() < 5 * expected**0.5).all())


def test_a_sampled_neighbourhood(path: str) -> None:
    graph = random_graph(40, 100)
    targets = torch.tensor([4, 11])
    nodes, csr = sample(graph.adj, targets, (2, 2), 0)
    assert nodes[:2].tolist() == [4, 11]
    assert nodes.unique().numel() == nodes.numel()
    edges = set(zip(graph.adj.rows.tolist(), graph.adj.columns.tolist(), strict=True))
    assert set(zip(nodes[csr.rows].tolist(), nodes[csr.columns].tolist(), strict=True)) <= edges
    full, all_edges = sample(graph.adj, targets, (100,), 0)
    assert all_edges.degree[:2].tolist() == graph.adj.degree[targets].tolist()
    assert full.numel() >= nodes.numel() - 12
    batch = Neighbours(graph, 2, (2,)).around(targets, 0)
    assert batch.targets.tolist() == [0, 1]


def test_a_store_is_the_graph_it_was_built_from(path: str, tmp_path: Path) -> None:
    graph = random_graph(60, 200, sparse=False)
    upper = graph.adj.rows < graph.adj.columns
    ends = graph.adj.rows[upper].numpy(), graph.adj.columns[upper].numpy()
    doubled = tuple(np.concatenate([end, end, [5]]) for end in ends)  # duplicates and a self-loop go

    def blocks() -> object:
        for start in range(0, doubled[0].size, 50):
            yield doubled[0][start : start + 50].copy(), doubled[1][start : start + 50].copy()

    x, y = graph.x.numpy(), graph.y.numpy()
    write_store(tmp_path / "s", "s", 60, blocks, lambda a, b: x[a:b], 12, lambda a, b: y[a:b], dtype="f32", block=7)
    again = open_store(tmp_path / "s")
    assert torch.equal(again.adj.indptr, graph.adj.indptr)
    assert torch.equal(again.adj.indices, graph.adj.indices)
    assert torch.equal(again.x, graph.x)
    assert torch.equal(again.y, graph.y)


def test_damaged_stores_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a graph store"):
        open_store(tmp_path)
    write_rmat(tmp_path / "s", 500, 2000)
    with (tmp_path / "s" / "indices.i32").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match=r"indices\.i32 has 100 bytes in place of"):
        open_store(tmp_path / "s")

    def bad() -> object:
        yield np.array([0]), np.array([99])

    with pytest.raises(DataError, match="names a node that is not one of 0 to 9"):
        write_store(tmp_path / "t", "t", 10, bad, lambda a, b: np.zeros((b - a, 1)), 1)
    assert not (tmp_path / "t").exists()


def test_generated_graphs_repeat_and_have_their_communities(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_rmat(tmp_path / name, 3000, 20000, classes=4, seed=3)
    a, b = open_store(tmp_path / "a"), open_store(tmp_path / "b")
    assert torch.equal(a.adj.indices, b.adj.indices)
    assert torch.equal(a.x, b.x)
    same = (a.y[a.adj.rows] == a.y[a.adj.columns]).float().mean()
    assert same > 0.6
    assert a.adj.degree.max() > 5 * a.adj.degree.float().mean()  # skewed
    whole = rmat_edges(3000, 0, 100, community=100, inside=0.5, seed=1)
    part = rmat_edges(3000, 40, 20, community=100, inside=0.5, seed=1)
    assert np.array_equal(whole[0][40:60], part[0])


def test_a_store_trains_like_the_graph_in_memory(tmp_path: Path) -> None:
    write_rmat(tmp_path / "s", 300, 2000, width=12)
    disk = open_store(tmp_path / "s")
    memory = Graph(CSR(disk.adj.indptr.clone(), disk.adj.indices.clone(), 300), disk.x.float(), disk.y)
    for a, b in zip(*(Clusters(g, 64, ContextConfig(size=8)).epoch(0, 0) for g in (disk, memory)), strict=True):
        assert torch.equal(a.adj.indices, b.adj.indices)
        torch.testing.assert_close(a.x, b.x)
