"""Arrays that users hand in, in files or from PyTorch Geometric: read right, or refused by row and column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graphs import random_graph

from espalier.core.errors import DataError
from espalier.graph.data.edges import read_edges
from espalier.graph.data.graph import Graph
from espalier.graph.data.load import load
from espalier.graph.data.npz import read_npz
from espalier.graph.ops.features import dense
from espalier.graph.sampling.convert import convert
from espalier.graph.sampling.store import open_store


def edges_of(graph: Graph) -> list[tuple[int, int]]:
    """Undirected edges, the smaller end first."""
    return [(a, b) for a, b in zip(graph.adj.rows.tolist(), graph.adj.columns.tolist(), strict=True) if a < b]


@pytest.fixture
def edges(tmp_path: Path) -> Path:
    (tmp_path / "edges.csv").write_text("0,1\n1,2\n")
    return tmp_path / "edges.csv"


FEATURES: dict[str, tuple[Any, str]] = {
    "one dimension": (
        np.arange(3.0),
        r"numbers of shape \(3,\), .*x\.reshape\(-1, 1\) makes one column",
    ),
    "three dimensions": (np.ones((3, 2, 2)), r"numbers of shape \(3, 2, 2\)"),
    "no columns": (np.ones((3, 0)), r"features\.npy: "),
    "not a number": (np.array([[1, 0], [0, np.nan], [1, 1]]), r"features\.npy: row 1, column 1 is nan"),
    "infinite": (np.array([[1, 0], [0, 1], [-np.inf, 1]]), r"features\.npy: row 2, column 0 is -inf"),
    "beyond float32": (np.array([[1, 0], [0, 1e300], [1, 1]]), r"features\.npy: row 1, column 1 is 1e\+300"),
    "text": (np.array([["a"], ["b"], ["c"]]), r"features\.npy: an array of <U1, where numbers are needed"),
    "records": (np.zeros(3, [("a", "f4")]), r"features\.npy: an array of"),
    "complex": (np.ones((3, 2), complex), r"features\.npy: an array of complex128"),
    "objects": (np.array([[{}], [1], [2]], dtype=object), r"features\.npy: not an array of numbers"),
    "too few rows": (np.ones((2, 2)), r"edges\.csv:2: there is no node 2: .*features\.npy has rows for nodes 0 to 1"),
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_refused(name: str, edges: Path) -> None:
    values, message = FEATURES[name]
    np.save(edges.with_name("features.npy"), values, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        load(edges)
    with pytest.raises(DataError, match=message):
        convert(edges, edges.with_name("features.npy"), edges.with_name("store"))


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", "<f8", ">f8", "<i4", ">i8", "u1", "<u2", "?", "longdouble"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_features_of_any_kind_are_read(kind: str, order: Any, edges: Path) -> None:
    values = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]])
    np.save(edges.with_name("features.npy"), np.array(values, np.dtype(kind), order=order))
    graph = load(edges)
    assert dense(graph.x).tolist() == values.tolist()
    assert dense(graph.x).dtype == torch.float32
    convert(edges, edges.with_name("features.npy"), edges.with_name("store"))
    assert load(edges.with_name("store")).x.tolist() == values.tolist()


LABELS: dict[str, tuple[Any, str]] = {
    "fractions": (np.array([0.5, 1.7, 2.2]), r"labels\.npy: row 0 is 0\.5: labels are whole numbers"),
    "gaps": (np.array([0, np.nan, 2.0]), r"labels\.npy: row 1 is nan"),
    "below -1": (np.array([0, 1, -2]), r"labels\.npy: row 2 is -2"),
    "huge": (np.array([0, 1, 2**40]), r"labels\.npy: row 2 is 1099511627776"),
    "two dimensions": (np.array([[0], [1], [2]]), r"labels\.npy: labels of shape \(3, 1\)"),
    "too few": (np.array([0, 1]), r"edges\.csv:2: there is no node 2: .*labels\.npy has rows for nodes 0 to 1"),
    "text": (np.array(["a", "b", "c"]), r"labels\.npy: an array of <U1"),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_refused(name: str, edges: Path) -> None:
    values, message = LABELS[name]
    np.save(edges.with_name("labels.npy"), values)
    with pytest.raises(DataError, match=message):
        load(edges)


def test_labels_that_are_read(edges: Path) -> None:
    for values in (np.array([0.0, -1.0, 2.0]), np.array([0, -1, 2], ">i2"), np.array([0, -1, 2], "i1")):
        np.save(edges.with_name("labels.npy"), values)
        assert load(edges).y.tolist() == [0, -1, 2]
    (edges.with_name("labels.txt")).write_bytes("\ufeff0\r\n-1\r\n+2\r\n".encode())
    assert read_edges(edges, labels=edges.with_name("labels.txt")).y.tolist() == [0, -1, 2]
    (edges.with_name("labels.txt")).write_text("0\n1.5\n2\n")
    with pytest.raises(DataError, match=r"labels\.txt:2: '1\.5' is not a whole number"):
        read_edges(edges, labels=edges.with_name("labels.txt"))
    np.save(edges.with_name("features.npy"), np.eye(4))
    with pytest.raises(DataError, match=r"features\.npy has 4 rows, but .*labels\.npy has 3"):
        load(edges)


def test_damaged_npy_files_are_named(edges: Path) -> None:
    file = edges.with_name("features.npy")
    np.save(file, np.ones((3, 2)))
    whole = file.read_bytes()
    for content in (b"", whole[:5], whole[:60], whole[:-1], whole + b"\0", whole.replace(b"(3, 2)", b"(2, 2)")):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"features\.npy: not an? (single )?array "):
            load(edges)


PARQUET: dict[str, tuple[dict[str, list[Any]], str]] = {
    "gap": ({"a": [0, None], "b": [1, 2]}, r"e\.parquet: row 1 has a missing value"),
    "fractions": ({"a": [0.5, 1], "b": [1, 2]}, r"e\.parquet: its first two columns are not whole .* double"),
    "bool": ({"a": [True, False], "b": [1, 2]}, r"not whole node numbers, but bool"),
    "one column": ({"a": [0, 1]}, r"e\.parquet: one column"),
    "negative": ({"a": [0, 1], "b": [1, -2]}, r"e\.parquet: row 1: there is no node -2"),
    "not dense": ({"a": [0, 1], "b": [1, 2**40]}, r"e\.parquet: row 1: node 1099511627776 .* not dense"),
    "empty": ({"a": [], "b": []}, r"e\.parquet"),
}


@pytest.mark.parametrize("name", PARQUET)
def test_parquet_edges_are_refused(name: str, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns, message = PARQUET[name]
    parquet.write_table(pa.table(columns), tmp_path / "e.parquet")
    with pytest.raises(DataError, match=message):
        read_edges(tmp_path / "e.parquet")
    np.save(tmp_path / "x.npy", np.eye(3))
    with pytest.raises(DataError, match=r"e\.parquet"):
        convert(tmp_path / "e.parquet", tmp_path / "x.npy", tmp_path / "store")


def test_parquet_columns_go_by_name(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"weight": [7, 8], "target": pa.array([1, 2], pa.uint64()), "source": [0, 1]})
    parquet.write_table(table, tmp_path / "e.parquet")
    with pytest.warns(UserWarning, match=r"e\.parquet: column weight is not read"):
        assert edges_of(read_edges(tmp_path / "e.parquet")) == [(0, 1), (1, 2)]
    (tmp_path / "e.parquet").write_bytes((tmp_path / "e.parquet").read_bytes()[:-9])
    np.save(tmp_path / "x.npy", np.eye(3))
    with pytest.raises(DataError, match=r"e\.parquet: this cannot be read as Parquet"):
        convert(tmp_path / "e.parquet", tmp_path / "x.npy", tmp_path / "store")


@pytest.mark.parametrize(
    ("text", "named"),
    [("u,v,weight,time\n0,1,0.5,3\n1,2,2,4\n", "columns weight, time are"), ("0 1 0.5\n1 2 2\n", "column 3 is")],
)
def test_columns_that_are_not_read_are_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "e.csv").write_text(text)
    with pytest.warns(UserWarning, match=rf"e\.csv:1: {named} not read: edges have no weights"):
        assert edges_of(read_edges(tmp_path / "e.csv")) == [(0, 1), (1, 2)]


def test_weights_of_pyg_are_named() -> None:
    with pytest.warns(UserWarning, match="edge_weight is not read"):
        Graph.from_pyg(data(edge_weight=torch.ones(2)))


def data(**changes: Any) -> Any:
    from torch_geometric.data import Data

    parts = {"x": torch.eye(3), "edge_index": torch.tensor([[0, 1], [1, 2]]), "y": torch.tensor([0, 1, 0])}
    return Data(**{**parts, **changes})


PYG: dict[str, tuple[dict[str, Any], str]] = {
    "float edges": ({"edge_index": torch.tensor([[0.0, 1.0], [1.0, 2.0]])}, "edge_index is torch.float32 of"),
    "transposed edges": ({"edge_index": torch.tensor([[0, 1], [1, 2], [2, 0]])}, r"torch.int64 of \(3, 2\)"),
    "no edges": ({"edge_index": None}, "has no edge_index"),
    "an edge too far": ({"edge_index": torch.tensor([[0, 1], [1, 3]])}, "edge 1 joins nodes 1 and 3"),
    "a negative edge": ({"edge_index": torch.tensor([[0, -1], [1, 2]])}, "edge 1 joins nodes -1 and 2"),
    "one dimension": ({"x": torch.ones(3)}, r"x: numbers of shape \(3,\)"),
    "not a number": ({"x": torch.tensor([[1.0], [float("nan")], [0.0]])}, "x: row 1, column 0 is nan"),
    "fractions": ({"y": torch.tensor([0.5, 1.0, 2.0])}, "y: row 0 is 0.5"),
    "many labels": ({"y": torch.ones(3, 2)}, r"y is of shape \(3, 2\), where 3 labels"),
    "a graph's label": ({"y": torch.tensor([1])}, "belongs in a Batch"),
    "a mask of numbers": ({"train_mask": torch.tensor([0, 2, 1])}, "train_mask: int64 of shape"),
    "a short mask": ({"train_mask": torch.tensor([True, False])}, "train_mask: bool of shape"),
    "no features": ({"x": None, "num_nodes": 3}, "no features x"),
}


@pytest.mark.parametrize("name", PYG)
def test_data_of_pyg_is_refused(name: str) -> None:
    changes, message = PYG[name]
    with pytest.raises(DataError, match=message):
        Graph.from_pyg(data(**changes))


def test_data_of_pyg_of_any_kind_is_read() -> None:
    from torch_geometric.data import HeteroData

    for changes in (
        {"edge_index": torch.tensor([[0, 1], [1, 2]], dtype=torch.int32)},
        {"x": torch.eye(3, dtype=torch.float16)},
        {"x": torch.eye(3).to_sparse()},
        {"x": torch.eye(3, dtype=torch.bfloat16)},
        {"y": torch.tensor([[0.0], [1.0], [0.0]])},
        {"edge_weight": torch.tensor([0.5, 0.1])},
    ):
        graph = Graph.from_pyg(data(**changes))
        assert edges_of(graph) == [(0, 1), (1, 2)]
        assert dense(graph.x).tolist() == torch.eye(3).tolist()
        assert graph.y.tolist() == [0, 1, 0]
    with pytest.raises(DataError, match=r"a HeteroData is not a .*to_homogeneous"):
        Graph.from_pyg(HeteroData())
    with pytest.raises(DataError, match="a dict is no"):
        Graph.from_pyg({"x": 1})


def test_a_batch_of_pyg_is_a_set_of_graphs() -> None:
    from torch_geometric.data import Batch, Data

    small = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]), y=torch.tensor([1]))
    large = Data(x=torch.zeros(3, 3), edge_index=torch.tensor([[0, 1], [1, 2]]), y=torch.tensor([0]))
    graph = Graph.from_pyg(Batch.from_data_list([small, large]))
    assert graph.ptr.tolist() == [0, 2, 5]
    assert graph.y.tolist() == [1, 0]
    assert edges_of(graph.select(torch.tensor([1]))) == [(0, 1), (1, 2)]


NPZ: dict[str, tuple[dict[str, Any], str]] = {
    "one dimension": ({"x": np.ones(3)}, r"g\.npz: x: numbers of shape \(3,\)"),
    "not a number": ({"x": np.array([[1.0], [np.nan], [0.0]])}, r"g\.npz: x: row 1, column 0 is nan"),
    "fractions": ({"y": np.array([0.5, 1, 1])}, r"g\.npz: y: row 0 is 0\.5"),
    "too few labels": ({"y": np.array([0, 1])}, r"g\.npz: y has 2 labels for 3"),
    "float indices": ({"indices": np.array([1.0, 0.7, 2.0, 1.0])}, r"g\.npz: the graph: float64"),
    "out of range": ({"indices": np.array([1, 0, 3, 1])}, r"g\.npz: the graph: its arrays"),
    "short mask": ({"train": np.array([True, False])}, r"g\.npz: train: bool of shape \(2,\)"),
    "mask of numbers": ({"train": np.array([0, 1, 2])}, r"g\.npz: train: int64"),
    "a graph without nodes": ({"ptr": np.array([0, 3, 3])}, r"g\.npz: ptr: graph 1 has no node"),
    "an edge between graphs": ({"ptr": np.array([0, 2, 3])}, r"g\.npz: ptr: an edge joins nodes 1 and 2"),
    "empty pointer": ({"indptr": np.array([], int)}, r"g\.npz: the graph"),
}


def own(**changes: Any) -> dict[str, Any]:
    adjacency = {"indptr": np.array([0, 1, 3, 4]), "indices": np.array([1, 0, 2, 1])}
    return {**adjacency, "x": np.eye(3), "y": np.array([0, 1, 1]), **changes}


@pytest.mark.parametrize("name", NPZ)
def test_npz_files_are_refused(name: str, tmp_path: Path) -> None:
    changes, message = NPZ[name]
    np.savez(tmp_path / "g.npz", **own(**changes))
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "g.npz")


def test_npz_files_of_any_kind_are_read(tmp_path: Path) -> None:
    for changes in (
        {"x": np.asfortranarray(np.eye(3)), "y": np.array([0.0, 1.0, 1.0])},
        {"x": np.eye(3).astype(">f8"), "y": np.array([0, 1, 1], ">i4"), "indices": np.array([1, 0, 2, 1], ">i8")},
        {"indptr": np.array([0, 1, 2, 2]), "indices": np.array([1, 2])},  # one direction only
    ):
        np.savez(tmp_path / "g.npz", **own(**changes))
        graph = read_npz(tmp_path / "g.npz")
        assert edges_of(graph) == [(0, 1), (1, 2)]
        assert dense(graph.x).tolist() == np.eye(3).tolist()
        assert graph.y.tolist() == [0, 1, 1]
    file = tmp_path / "g.npz"
    whole = file.read_bytes()
    for cut in (0, 30, len(whole) // 2, len(whole) - 30):
        file.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"g\.npz: not an \.npz"):
            read_npz(file)


def store(folder: Path) -> Path:
    (folder / "e.csv").write_text("0,1\n1,2\n")
    np.save(folder / "x.npy", np.eye(3, dtype=np.float16))
    np.save(folder / "y.npy", np.array([0, 1, 1]))
    convert(folder / "e.csv", folder / "x.npy", folder / "store", folder / "y.npy")
    return folder / "store"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("indices.i32", np.array([1, 0, 9, 1], "<i4").tobytes(), r"indices\.i32: it names a node .* 0 to 2"),
        ("indices.i32", np.array([1, 0, -1, 1], "<i4").tobytes(), r"indices\.i32: it names a node"),
        ("indptr.i64", np.array([0, 3, 1, 4], "<i8").tobytes(), r"indptr\.i64: it does not increase"),
        ("indptr.i64", np.array([0, 1, 3, 5], "<i8").tobytes(), r"indptr\.i64: it does not increase from 0 to 4"),
        ("y.i64", np.array([0, 1, 1 << 50], "<i8").tobytes(), r"y\.i64: row 2 is"),
        ("y.i64", b"", r"y\.i64 has 0 bytes in place of 24"),
        ("graph.json", b"[1]", r"graph\.json: not a description"),
        ("graph.json", b"{", r"graph\.json: not JSON"),
    ],
)
def test_damaged_stores_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    folder = store(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_store(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("nodes", -1), ("nodes", 2.5), ("nodes", True), ("entries", None), ("features", "4"), ("dtype", "f8")],
)
def test_descriptions_of_stores_are_refused(key: str, value: Any, tmp_path: Path) -> None:
    file = store(tmp_path) / "graph.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(DataError, match=rf"graph\.json: {key} is"):
        open_store(file.parent)


def test_a_store_is_not_scaled_silently(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="scale them before the conversion"):
        load(store(tmp_path), normalise="row")


def test_features_of_half_precision_train_whole(tmp_path: Path) -> None:
    from espalier import graph
    from espalier.graph.data.splits import random_split
    from espalier.graph.sampling.rmat import write_rmat

    write_rmat(tmp_path / "g", 200, 800, classes=2, width=8)
    loaded = graph.load(tmp_path / "g")
    assert loaded.x.dtype == torch.float16
    for method in ("graphmae", "bgrl", "raw"):
        settings = {"encoder": {"hidden": 8, "heads": 2}} if method == "graphmae" else {}
        z = graph.pretrain(loaded, method, epochs=1, settings=settings).embed(loaded)
        assert z.dtype == torch.float32
    from dataclasses import replace

    judged = replace(loaded, splits=random_split(loaded, 0))
    assert graph.probe(z, judged).val > 0.5
    assert graph.pretrain(judged, "supervised", epochs=2).embed(judged).shape == (200, 16)


def test_a_set_selected_from_stays_scaled() -> None:
    from dataclasses import replace

    from espalier.graph.data.prepare import normalised

    members = replace(random_graph(), ptr=torch.tensor([0, 30]), y=torch.tensor([0]))
    assert normalised(members, "row").select(torch.tensor([0])).scaling.how == "row"
