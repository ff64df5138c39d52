"""Files and arrays that users hand in: read right, or refused with file, line, row and column. Never misread."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graphs import random_graph

from espalier.core.errors import DataError
from espalier.graph.align.knowledge import read_codex
from espalier.graph.data.edges import read_edges
from espalier.graph.data.graph import Graph
from espalier.graph.data.load import load
from espalier.graph.data.npz import read_npz
from espalier.graph.figures import read_figures
from espalier.graph.ops.features import dense
from espalier.graph.sampling.convert import convert
from espalier.graph.sampling.store import open_store


def edges_of(graph: Graph) -> list[tuple[int, int]]:
    """Undirected edges, the smaller end first."""
    return [(a, b) for a, b in zip(graph.adj.rows.tolist(), graph.adj.columns.tolist(), strict=True) if a < b]


READ = {
    "plain": b"0,1\n1,2\n",
    "byte-order mark": b"\xef\xbb\xbf0,1\n1,2\n",
    "UTF-16": "\ufeff0,1\n1,2\n".encode("utf-16-le"),
    "CRLF": b"0,1\r\n1,2\r\n",
    "CR": b"0,1\r1,2\r",
    "no last line end": b"0,1\n1,2",
    "plus signs": b"+0,1\n+1,+2\n",
    "leading zeros": b"000,01\n1,002\n",
    "tabs": b"0\t1\n1\t2\n",
    "semicolons": b"0;1\n1;2\n",
    "comma and space": b"0, 1\n1, 2\n",
    "many spaces": b"  0   1\n1 \t 2  \n",
    "blank lines": b"\n0,1\n\n  \n1,2\n\n",
    "remarks": b"# a remark, with commas\n0 1\n% another\n 1 2\n# 3 4\n",
    "weights": b"0,1,0.5\n1,2,0.7\n",
    "weights with decimal commas": b"0;1;0,5\n1;2;0,7\n",
    "whole weights": b"0 1 7\n1 2 9\n",
    "quotes": b'"0","1","a, b"\n"1","2","c"\n',
    "quotes and spaces": b'"0" "1"\n"1"  "2"\n',
    "header": b"a,b\n0,1\n1,2\n",
    "header and mark": b"\xef\xbb\xbfa,b\n0,1\n1,2\n",
    "header after a remark": b"# made by hand\n\nnode one\tnode two\n0\t1\n1\t2\n",
    "named columns in another order": b"weight,Target,id,source\n0.5,1,7,0\n0.7,2,8,1\n",
    "pandas' index": b",src,dst\n0,0,1\n1,1,2\n",
    "trailing commas": b"0,1,\n1,2,\n",
    "both directions, twice, loops": b"0,1\n1,0\n0,1\n1,1\n2,1\n",
}


@pytest.mark.parametrize("name", READ)
def test_edge_lists_are_read_right(name: str, tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    file.write_bytes(READ[name])
    assert edges_of(read_edges(file)) == [(0, 1), (1, 2)]
    np.save(tmp_path / "x.npy", np.eye(3, dtype=np.float32))
    convert(file, tmp_path / "x.npy", tmp_path / "store")
    assert edges_of(load(tmp_path / "store")) == [(0, 1), (1, 2)]


REFUSED = {
    "ragged": (b"0 1 2\n3\n", r"e\.csv:2: 1 column, where .*e\.csv:1 has 3"),
    "compensating rows": (b"0,1,2\n3\n4,5\n", r"e\.csv:2: 1 column"),
    "a longer row": (b"0,1\n1,2,3\n", r"e\.csv:2: 3 columns, where .*e\.csv:1 has 2"),
    "shorter than the header": (b"a,b,c\n0,1\n", r"e\.csv:2: 2 columns, where .*e\.csv:1 has 3"),
    "a gap": (b"0,1\n1,,\n", r"e\.csv:2: 3 columns"),
    "an empty cell": (b"0,1\n,2\n", r"e\.csv:2: an empty cell is not a whole number"),
    "fractions": (b"0,1\n1,2.5\n", r"e\.csv:2: '2\.5' is not a whole number"),
    "floats": (b"0.0,1.0\n", r"e\.csv:1: '0\.0' is not a whole number"),
    "not a number": (b"0,1\nnan,2\n", r"e\.csv:2: 'nan' is not a whole number"),
    "first line not a number": (b"nan,1\n1,2\n", r"e\.csv:1: 'nan' is not a whole number"),
    "underscores": (b"0,1\n1,1_0\n", r"e\.csv:2: '1_0' is not a whole number"),
    "other digits": ("0,1\n1,\u0663\n".encode(), r"e\.csv:2: '\u0663' is not a whole number"),
    "hexadecimal": (b"0,1\n1,0x2\n", r"e\.csv:2: '0x2' is not a whole number"),
    "negative": (b"0,1\n1,-2\n", r"e\.csv:2: there is no node -2: the first node is 0"),
    "not dense": (b"0,1\n0,3000000000\n", r"e\.csv:2: node 3000000000 in a file of 2 edges: .* not dense"),
    "not dense, less so": (b"1,100000000\n", r"e\.csv:1: node 100000000 in a file of 1 edges: .* not dense"),
    "beyond 64 bits": (b"0,99999999999999999999\n", r"e\.csv:1: 99999999999999999999 is too large a number"),
    "5,000 digits": (b"0,1\n0," + b"9" * 5000 + b"\n", r"e\.csv:2: 9{37}\.\.\. is too large"),
    "one column": (b"0\n1\n", r"e\.csv:1: one column, where the two ends of an edge are needed"),
    "empty": (b"", r"e\.csv holds no edges"),
    "only a mark": (b"\xef\xbb\xbf", r"e\.csv holds no edges"),
    "only a header": (b"source,target\n", r"e\.csv holds no edges"),
    "only remarks": (b"# 0 1\n", r"e\.csv holds no edges"),
    "Latin-1": (b"0,1\n# caf\xe9\n", r"e\.csv:2: byte 0xe9 is not UTF-8 text"),
    "an open quote": (b'0,1\n"1,2\n', r"e\.csv:2: its quotes cannot be read"),
    "a zero byte": (b"0,1\n1,\x002\n", r"e\.csv:2: "),
    "words": (b"alice,bob\ncarol,dave\n", r"e\.csv:2: 'carol' is not a whole number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_edge_lists_are_refused_by_file_and_line(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    file = tmp_path / "e.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_edges(file)
    np.save(tmp_path / "x.npy", np.eye(7, dtype=np.float32))
    with pytest.raises(DataError, match=r"e\.csv(:\d+:| holds no edges)"):
        convert(file, tmp_path / "x.npy", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_line_deep_in_a_long_file_is_named(tmp_path: Path) -> None:
    lines = [f"{k},{k + 1}" for k in range(30_000)]
    lines[:0] = ["source,target", "# a remark"]
    for wrong, message in (
        ("7,x", "'x' is not"),
        ("7", "1 column, where"),
        ("7,40000", "no node 40000: .*x.npy has rows"),
    ):
        (tmp_path / "e.csv").write_text("\n".join([*lines[:20_000], wrong, *lines[20_000:]]) + "\n")
        np.save(tmp_path / "x.npy", np.ones((30_001, 1), np.float32))
        with pytest.raises(DataError, match=rf"e\.csv:20001: {message}"):
            read_edges(tmp_path / "e.csv", tmp_path / "x.npy")


def test_blocks_of_a_file_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from espalier.core.text import text_blocks
    from espalier.graph.data import columns

    content = b"a,b\r\n" + b"".join(f"{k},{k + 1}\r\n".encode() for k in range(50)) + b"# end\r\n50,51"
    (tmp_path / "e.csv").write_bytes(content)
    for size in (1, 2, 3, 7, 64, 10_000):
        blocks = list(text_blocks(tmp_path / "e.csv", size))
        assert b"".join(block for _, block in blocks) == content.replace(b"\r\n", b"\n") + b"\n"
        assert [number for number, _ in blocks] == [
            1 + sum(block.count(b"\n") for _, block in blocks[:k]) for k in range(len(blocks))
        ]
        monkeypatch.setattr(columns, "text_blocks", lambda file, size=size: text_blocks(file, size))
        assert edges_of(read_edges(tmp_path / "e.csv")) == [(k, k + 1) for k in range(51)]


@pytest.fixture
def edges(tmp_path: Path) -> Path:
    (tmp_path / "edges.csv").write_text("0,1\n1,2\n")
    return tmp_path / "edges.csv"


FEATURES: dict[str, tuple[Any, str]] = {
    "one dimension": (np.arange(3.0), r"features\.npy: numbers of shape \(3,\), .* reshape\(-1, 1\) makes one column"),
    "three dimensions": (np.ones((3, 2, 2)), r"numbers of shape \(3, 2, 2\)"),
    "no columns": (np.ones((3, 0)), r"features\.npy: "),
    "not a number": (np.array([[1, 0], [0, np.nan], [1, 1]]), r"features\.npy: row 1, column 1 is nan"),
    "infinite": (np.array([[1, 0], [0, 1], [-np.inf, 1]]), r"features\.npy: row 2, column 0 is -inf"),
    "beyond float32": (np.array([[1, 0], [0, 1e300], [1, 1]]), r"features\.npy: row 1, column 1 is 1e\+300"),
    "text": (np.array([["a"], ["b"], ["c"]]), r"features\.npy: an array of <U1, where numbers are needed"),
    "records": (np.zeros(3, [("a", "f4")]), r"features\.npy: an array of"),
    "complex": (np.ones((3, 2), complex), r"features\.npy: an array of complex128"),
    "objects": (np.array([[{}], [1], [2]], dtype=object), r"features\.npy: this is no array of numbers"),
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
        with pytest.raises(DataError, match=r"features\.npy: this is no "):
            load(edges)


PARQUET: dict[str, tuple[dict[str, list[Any]], str]] = {
    "gap": ({"a": [0, None], "b": [1, 2]}, r"e\.parquet: row 1 has a gap"),
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
    assert edges_of(read_edges(tmp_path / "e.parquet")) == [(0, 1), (1, 2)]
    (tmp_path / "e.parquet").write_bytes((tmp_path / "e.parquet").read_bytes()[:-9])
    np.save(tmp_path / "x.npy", np.eye(3))
    with pytest.raises(DataError, match=r"e\.parquet: this cannot be read as Parquet"):
        convert(tmp_path / "e.parquet", tmp_path / "x.npy", tmp_path / "store")


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
    with pytest.raises(DataError, match=r"a HeteroData is no .*to_homogeneous"):
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
        with pytest.raises(DataError, match=r"g\.npz: this is no \.npz"):
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
        ("indptr.i64", np.array([0, 3, 1, 4], "<i8").tobytes(), r"indptr\.i64: it does not rise"),
        ("indptr.i64", np.array([0, 1, 3, 5], "<i8").tobytes(), r"indptr\.i64: it does not rise from 0 to 4"),
        ("y.i64", np.array([0, 1, 1 << 50], "<i8").tobytes(), r"y\.i64: row 2 is"),
        ("y.i64", b"", r"y\.i64 has 0 bytes in place of 24"),
        ("graph.json", b"[1]", r"graph\.json: this is no description"),
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
    with pytest.raises(DataError, match="scale its features before it is converted"):
        load(store(tmp_path), normalise="row")


def write_codex(folder: Path, **changes: str) -> None:
    import zipfile

    files = {
        "train.txt": "a\tr\tb\n",
        "valid.txt": "b\tr\tc\n",
        "test.txt": "c\ts\ta\n",
        "types-entity2types.json": '{"a": ["T"]}',
        "types-en-types.json": '{"T": {"label": "thing", "description": null}}',
    }
    for name, text in {**files, **{key.replace("_", "."): text for key, text in changes.items()}}.items():
        (folder / name).write_bytes(text.encode())
    with zipfile.ZipFile(folder / "types-en-extracts.zip", "w") as archive:
        archive.writestr("T.txt", "A thing.")


def test_triples_are_read_or_refused_by_line(tmp_path: Path) -> None:
    write_codex(tmp_path, train_txt="\ufeffa\tr\tb\u2028x\r\n\n")
    known = read_codex(tmp_path, tmp_path)
    assert known.entities == ["a", "b", "b\u2028x", "c"]
    assert known.texts == ["thing  A thing.", "", "", ""]
    for text, message in (
        ("a\tr\n", r"train\.txt:1: expected head"),
        ("a\tr\tb\n\tr\tb\n", r"train\.txt:2: expected head"),
        ("a\tr\tb\n\na\tr\tb\n", r"train\.txt:2: expected head"),
        ("", r"train\.txt holds no triples"),
    ):
        write_codex(tmp_path, train_txt=text)
        with pytest.raises(DataError, match=message):
            read_codex(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("types-entity2types", "[1]"),
        ("types-entity2types", '{"a": "T"}'),
        ("types-entity2types", '{"a": [1]}'),
        ("types-en-types", '{"T": []}'),
        ("types-en-types", '{"T": {"label": 0}}'),
        ("types-en-types", "{"),
    ],
)
def test_types_of_entities_are_refused(name: str, text: str, tmp_path: Path) -> None:
    write_codex(tmp_path)
    (tmp_path / f"{name}.json").write_text(text)
    with pytest.raises(DataError, match=rf"{name}\.json: "):
        read_codex(tmp_path, tmp_path)


def test_damaged_extracts_are_refused(tmp_path: Path) -> None:
    write_codex(tmp_path)
    file = tmp_path / "types-en-extracts.zip"
    whole = file.read_bytes()
    for content in (b"", whole[:40], whole.replace(b"A thing.", b"B thing.")):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"types-en-extracts\.zip cannot be read"):
            read_codex(tmp_path, tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"val": 1}', '{"score": "1"}', '{"score": NaN}', '{"score": 1'])
def test_figures_that_a_table_cannot_read_are_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "row-Cora-0.json").write_text(text)
    with pytest.raises(DataError, match=r"row-Cora-0\.json"):
        read_figures(tmp_path / "row-Cora-0.json")


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
