"""Readers: real sets have their published sizes, and every broken file is named with its line."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from graphs import random_graph

from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.graph.data.edges import read_edges
from espalier.graph.data.graph import Graph, symmetric
from espalier.graph.data.load import load
from espalier.graph.data.npz import read_npz, write_npz
from espalier.graph.data.prepare import normalised
from espalier.graph.data.splits import per_class_split, public_split, random_split
from espalier.graph.data.tu import read_tu
from espalier.graph.ops.csr import SparseMatrix
from espalier.graph.ops.features import dense

SIZES = {
    "Cora": (2708, 5278, 1433, 7),
    "CiteSeer": (3327, 4552, 3703, 6),
    "Photo": (7650, 119081, 745, 8),
    "CS": (18333, 81894, 6805, 15),
}
SETS = {"MUTAG": (188, 3371, 7, 2), "PROTEINS": (1113, 43471, 3, 2), "IMDB-BINARY": (1000, 19773, 136, 2)}


@pytest.mark.data
@pytest.mark.parametrize("name", SIZES)
def test_graphs_have_their_published_sizes(name: str) -> None:
    graph = load(name)
    assert (graph.n_nodes, graph.adj.nnz // 2, graph.n_features, graph.n_classes) == SIZES[name]
    sums = dense(graph.x).sum(1)
    assert torch.allclose(sums[sums > 0], torch.ones(()), atol=1e-5)
    transposed, _ = graph.adj.transposed
    assert torch.equal(transposed.indices, graph.adj.indices)  # symmetric, and rows are sorted


@pytest.mark.data
def test_the_public_split() -> None:
    for name, train in (("Cora", 140), ("CiteSeer", 120)):
        graph = load(name)
        assert {part: int(mask.sum()) for part, mask in graph.splits.items()} == {
            "train": train,
            "val": 500,
            "test": 1000,
        }
        per_class = torch.bincount(graph.y[graph.splits["train"]])
        assert per_class.tolist() == [20] * graph.n_classes


@pytest.mark.data
@pytest.mark.parametrize("name", SETS)
def test_sets_of_graphs_have_their_published_sizes(name: str) -> None:
    graph = load(name)
    assert (graph.n_graphs, graph.n_nodes, graph.n_features, graph.n_classes) == SETS[name]
    assert torch.allclose(dense(graph.x).sum(1), torch.ones(()))


@pytest.mark.data
@pytest.mark.parametrize("name", ["Cora", "Photo", "MUTAG"])
def test_the_readers_agree_with_pytorch_geometric(name: str, tmp_path: Path) -> None:
    from torch_geometric.datasets import Amazon, Planetoid, TUDataset

    source = DataRoot.find().file(f"graph/{name}")
    shutil.copytree(source, tmp_path / name)
    for folder, _, files in os.walk(tmp_path):
        Path(folder).chmod(0o755)
        for file in files:
            (Path(folder) / file).chmod(0o644)
    make = {"Cora": Planetoid, "Photo": Amazon, "MUTAG": TUDataset}[name]
    ours = load(name, normalise="none")
    if name == "Photo":  # gnn-benchmark's file, whose object arrays PyG would unpickle
        pytest.importorskip("torch_geometric")
    theirs = make(str(tmp_path), name)
    if name == "MUTAG":
        for number in (0, 7, 187):
            member, data = ours.select(torch.tensor([number])), theirs[number]
            assert member.n_nodes == data.num_nodes
            assert member.adj.nnz == data.num_edges
            assert torch.equal(dense(member.x), data.x)
        assert torch.equal(ours.y, theirs.y)
        return
    data = theirs[0]
    again = Graph.from_pyg(data)
    assert torch.equal(dense(ours.x), dense(again.x))
    assert torch.equal(ours.adj.indices, again.adj.indices)
    assert torch.equal(ours.y, data.y)
    if name == "Cora":
        assert torch.equal(ours.splits["test"], data.test_mask)


def test_to_pyg_and_back() -> None:
    graph = random_graph()
    again = Graph.from_pyg(graph.to_pyg(), "again")
    assert torch.equal(again.adj.indptr, graph.adj.indptr)
    assert torch.equal(dense(again.x), dense(graph.x))
    assert torch.equal(again.splits["val"], graph.splits["val"])


@pytest.mark.data
def test_a_pickle_that_wants_code_is_refused(tmp_path: Path) -> None:
    source = DataRoot.find().file("graph/Cora/raw")
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("touch /tmp/pwned",)

    (tmp_path / "ind.cora.graph").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(DataError, match=r"ind\.cora\.graph: this is not a Planetoid pickle \(it refers to .*system"):
        load(tmp_path)
    (tmp_path / "ind.cora.test.index").write_text("2692\n25x2\n")
    (tmp_path / "ind.cora.graph").write_bytes((source / "ind.cora.graph").read_bytes())
    with pytest.raises(DataError, match=r"test\.index:2: '25x2' is not a whole number"):
        load(tmp_path)
    (tmp_path / "ind.cora.tx").unlink()
    with pytest.raises(DataError, match=r"there is no .*ind\.cora\.tx"):
        load(tmp_path)


def write_tu(folder: Path, **changes: str) -> None:
    files = {
        "A": "1, 2\n2, 1\n3, 4\n4, 3\n",
        "graph_indicator": "1\n1\n2\n2\n",
        "graph_labels": "-1\n1\n",
        "node_labels": "0\n5\n0\n5\n",
    }
    for name, text in {**files, **changes}.items():
        (folder / f"T_{name}.txt").write_text(text)


def test_a_tu_set(tmp_path: Path) -> None:
    write_tu(tmp_path)
    graph = read_tu(tmp_path, "T")
    assert graph.n_graphs == 2
    assert graph.y.tolist() == [0, 1]
    assert graph.x.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    second = graph.select(torch.tensor([1, 0]))
    assert second.y.tolist() == [1, 0]
    assert second.adj.columns.tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": "1, 2\n2; 1\n"}, r"T_A\.txt:2: 1 column, where .*T_A\.txt:1 has 2"),
        ({"A": "1, 2\n2, 1, 4\n"}, r"T_A\.txt:2: 3 columns, where .*T_A\.txt:1 has 2"),
        ({"A": "1, 2, 3\n2, 1, 4\n"}, r"T_A\.txt:1: 3 columns, where 2 are needed"),
        ({"A": "1, 2\n\n2, one\n"}, r"T_A\.txt:3: 'one' is not a whole number"),
        ({"A": ""}, r"T_A\.txt is empty"),
        ({"A": "1, 2\n1, 3\n"}, r"T_A\.txt:2: an edge joins nodes 1 and 3 of different graphs"),
        ({"A": "1, 9\n"}, r"T_A\.txt:1: an edge joins nodes 1 and 9, but there are only 4 nodes"),
        ({"A": "1, 0\n"}, r"T_A\.txt:1: an edge joins nodes 1 and 0, but there are only 4 nodes"),
        ({"graph_indicator": "1\n2\n1\n2\n"}, r"graph_indicator\.txt:3: graph numbers must rise"),
        (
            {"graph_indicator": "1\n1\n3\n3\n", "graph_labels": "1\n0\n1\n"},
            r"indicator\.txt:3: .* each with a node; found 3",
        ),
        ({"graph_labels": "-1\n1\n1\n"}, r"indicator\.txt:4: the last graph is 2, but 3 have labels"),
        ({"graph_labels": "-1\n0.5\n"}, r"graph_labels\.txt:2: '0\.5' is not a whole number"),
        ({"node_labels": "0\n1\n"}, r"labels 2 nodes, but there are 4"),
    ],
)
def test_broken_tu_files_are_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    write_tu(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        read_tu(tmp_path, "T")


def test_degrees_stand_in_for_missing_node_labels(tmp_path: Path) -> None:
    write_tu(tmp_path, node_labels="1\n1\n1\n1\n")
    assert read_tu(tmp_path, "T").x.tolist() == [[0, 1]] * 4


def test_edge_lists(tmp_path: Path) -> None:
    file = tmp_path / "edges.csv"
    file.write_text("source,target,weight\n0,1,0.5\n1,2,0.1\n2,1,0.1\n")
    np.save(tmp_path / "features.npy", np.eye(4, dtype=np.float32))
    np.save(tmp_path / "labels.npy", np.array([0, 1, 1, -1]))
    graph = load(file)
    assert (graph.n_nodes, graph.adj.nnz, graph.n_features) == (4, 4, 4)
    assert graph.y.tolist() == [0, 1, 1, -1]
    assert load(tmp_path).n_nodes == 4
    file.write_text("# a comment\n0 1\n1 2\n")
    assert read_edges(file).n_features == 64
    file.write_text("0,1\n1,b\n")
    with pytest.raises(DataError, match=r"edges\.csv:2: 'b' is not a whole number"):
        read_edges(file)
    file.write_text("a,b\n0,1\nx,2\n")
    with pytest.raises(DataError, match=r"edges\.csv:3: 'x' is not a whole number"):
        read_edges(file)


def test_parquet_edges(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    file = tmp_path / "edges.parquet"
    parquet.write_table(pa.table({"a": [0, 1], "b": [1, 2]}), file)
    assert read_edges(file).adj.nnz == 4
    parquet.write_table(pa.table({"a": ["x", "y"], "b": ["z", "w"]}), file)
    with pytest.raises(DataError, match="first two columns are not whole node numbers"):
        read_edges(file)


@pytest.mark.parametrize("sparse", [True, False])
def test_the_own_npz_layout_round_trips(tmp_path: Path, sparse: bool) -> None:
    graph, file = random_graph(sparse=sparse), tmp_path / "g.npz"
    write_npz(graph, file)
    again = read_npz(file)
    assert torch.equal(again.adj.indices, graph.adj.indices)
    assert torch.equal(dense(again.x), dense(graph.x))
    assert torch.equal(again.splits["train"], graph.splits["train"])


def test_broken_npz_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "g.npz"
    file.write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"g\.npz: not an \.npz"):
        read_npz(file)
    np.savez(file, indptr=np.array([0, 1]), indices=np.array([7]), x=np.zeros((1, 1)))
    with pytest.raises(DataError, match=r"g\.npz: the graph: its arrays .* are not a 1 x 1 CSR matrix"):
        read_npz(file)
    np.savez(file, adj_data=np.ones(1))
    with pytest.raises(DataError, match=r"g\.npz: there is no array 'adj_indices'; it holds adj_data"):
        read_npz(file)
    np.savez(file, indptr=np.array([0], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"plain arrays"):
        read_npz(file)


def test_a_missing_set_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ESPALIER_DATA"):
        load("Cora", root=DataRoot(None))
    for missing in (tmp_path / "no" / "such.npz", tmp_path / "nothing", "edges.csv", "no/set"):
        with pytest.raises(DataError, match=r"there is no file or folder .*(such\.npz|nothing|edges\.csv|no/set)"):
            load(missing, root=DataRoot(tmp_path))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "graph" / "Nothing").mkdir(parents=True)
    with pytest.raises(DataError, match="has no graph"):
        load("Nothing", root=DataRoot(tmp_path))


def test_normalisation() -> None:
    graph = random_graph()
    rows = dense(normalised(graph, "row").x)
    assert torch.equal(rows[0], torch.zeros(12))
    torch.testing.assert_close(rows[rows.sum(1) > 0].sum(1), torch.ones(int((rows.sum(1) > 0).sum())))
    standard = dense(normalised(graph, "standard").x)
    torch.testing.assert_close(standard.mean(0), torch.zeros(12), atol=1e-6, rtol=0)
    torch.testing.assert_close(standard.std(0, correction=0), torch.ones(12))


def test_splits_are_disjoint_complete_and_seeded() -> None:
    graph = random_graph(200, 300)
    for split in (lambda seed: random_split(graph, seed), lambda seed: per_class_split(graph, seed, 5, 10)):
        parts = split(1)
        assert torch.equal(sum(mask.int() for mask in parts.values()), torch.ones(200, dtype=torch.int32))
        assert all(torch.equal(parts[name], split(1)[name]) for name in parts)
        assert not torch.equal(parts["train"], split(2)["train"])
    assert [int(m.sum()) for m in random_split(graph, 0).values()] == [20, 20, 160]
    assert torch.bincount(graph.y[per_class_split(graph, 0, 5, 10)["train"]]).tolist() == [5, 5, 5]
    with pytest.raises(DataError, match="too few nodes"):
        per_class_split(graph, 0, 60, 30)
    with pytest.raises(DataError, match="without a public split"):
        public_split(Graph(graph.adj, graph.x, graph.y, name="bare"))


def test_symmetric_drops_duplicates_loops_and_names_a_bad_edge() -> None:
    adj = symmetric(torch.tensor([0, 1, 1, 2, 2]), torch.tensor([1, 0, 1, 0, 0]), 3, "g")
    assert adj.rows.tolist() == [0, 0, 1, 2]
    assert adj.columns.tolist() == [1, 2, 0, 0]
    with pytest.raises(DataError, match="edge 1 joins nodes 5 and 0"):
        symmetric(torch.tensor([0, 5]), torch.tensor([1, 0]), 3, "g")


def test_features_that_are_sparse_are_kept_sparse() -> None:
    graph = Graph.from_pyg(random_graph().to_pyg())
    assert isinstance(graph.x, torch.Tensor)  # 30% dense: no
    data = random_graph().to_pyg()
    data.x = torch.eye(30)
    assert isinstance(Graph.from_pyg(data).x, SparseMatrix)
