"""Graphs as arrays, archives, tables, stores and pickles; exported encoders and the state of a trainer."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import reference as plainly
import torch
from mutators import BINARY, NEUTRAL_TEXT, OTHER_TEXT, bad_byte, cut, mistyped, named, value_of
from oracle import Open, Reader
from scipy.sparse import csr_matrix

from espalier.graph.config import PretrainConfig
from espalier.graph.data.edges import read_edges
from espalier.graph.data.npz import read_npz
from espalier.graph.data.planetoid import read_planetoid
from espalier.graph.data.prepare import Scaling
from espalier.graph.encoder import Encoder, load_encoder
from espalier.graph.methods.build import build_method
from espalier.graph.sampling.store import open_store, write_store
from readers.edges import EDGES, N, both_ways, edges_of

FEATURES = np.arange(20, dtype=np.float32).reshape(N, 4) / 4


def _arrays(name: str) -> Any:
    def make(folder: Path) -> Path:
        (folder / "edges.csv").write_text("".join(f"{a},{b}\n" for a, b in EDGES))
        np.save(folder / "features.npy", FEATURES)
        np.save(folder / "labels.npy", np.array([0, 1, 1, -1, 2]))
        return folder / name

    return make


def _beside(file: Path) -> Any:
    graph = read_edges(*(file.parent / name for name in ("edges.csv", "features.npy", "labels.npy")))
    return [graph.x, graph.y]


def _features_reference(file: Path) -> Any:
    found = plainly.npy(file.read_bytes())
    if found.ndim != 2 or len(found) != N or not np.isfinite(found).all():
        raise ValueError(found.shape)
    if found.dtype != np.float32 or not found.size or abs(found).max() > 1e6:
        raise Open
    return [found, np.array([0, 1, 1, -1, 2])]


def _labels_reference(file: Path) -> Any:
    found = plainly.npy(file.read_bytes())
    if found.shape != (N,):
        raise ValueError(found.shape)
    if found.dtype != np.int64 or sorted({*found.tolist()} - {-1}) != list(range(found.max() + 1)):
        raise Open
    return [FEATURES, found]


def _parquet(folder: Path) -> Path:
    _arrays("edges.csv")(folder)
    ends = np.array(EDGES).T
    table = pyarrow.table({"source": ends[0], "target": ends[1]})
    pyarrow.parquet.write_table(table, folder / "edges.parquet", compression="none")
    return folder / "edges.parquet"


ARRAYS = [
    Reader("graph/features.npy", _arrays("features.npy"), _beside, _features_reference, (), (cut,), BINARY),
    Reader("graph/labels.npy", _arrays("labels.npy"), _beside, _labels_reference, (), (cut,), BINARY),
    Reader(
        "graph/edges.parquet",
        _parquet,
        lambda file: edges_of(read_edges(file, file.parent / "features.npy")),
        None,
        (),
        (cut,),
        BINARY,
    ),
]


def _csr() -> csr_matrix:
    ends = np.array(both_ways(EDGES, N)).T
    return csr_matrix((np.ones(ends.shape[1], np.float32), (ends[0], ends[1])), (N, N))


def _own_npz(folder: Path) -> Path:
    adj = _csr()
    masks = {key: np.arange(N) == k for k, key in enumerate(("train", "val", "test"))}
    labels = np.array([0, 1, 1, 0, 2])
    np.savez(folder / "g.npz", indptr=adj.indptr.astype(np.int64), indices=adj.indices, x=FEATURES, y=labels, **masks)
    return folder / "g.npz"


def _benchmark_npz(folder: Path) -> Path:
    parts = {"adj": _csr(), "attr": csr_matrix((FEATURES > 2).astype(np.float32))}
    arrays = {
        f"{name}_{key}": getattr(part, key)
        for name, part in parts.items()
        for key in ("data", "indices", "indptr", "shape")
    }
    np.savez_compressed(folder / "b.npz", labels=np.array([0, 1, 1, 0, 2]), **arrays)
    return folder / "b.npz"


def _npz_read(file: Path) -> Any:
    graph = read_npz(file)
    return [edges_of(graph), graph.y, graph.n_features]


def _npz_reference(file: Path) -> Any:
    arrays = plainly.npz(file)
    prefix, y = ("", "y") if "indptr" in arrays else ("adj_", "labels")
    if set(arrays) not in (
        {"indptr", "indices", "x", "y", "train", "val", "test"},
        {"labels", *(f"{a}_{b}" for a in ("adj", "attr") for b in ("data", "indices", "indptr", "shape"))},
    ):
        raise Open
    indptr, indices = arrays[f"{prefix}indptr"], arrays[f"{prefix}indices"]
    pairs = [(row, int(indices[k])) for row in range(N) for k in range(indptr[row], indptr[row + 1])]
    if len(pairs) != len(indices) or len(indptr) != N + 1 or len(arrays[y]) != N:
        raise ValueError("counts")
    return [both_ways(pairs, N), arrays[y], 4]


NPZ = [
    Reader("graph/own.npz", _own_npz, _npz_read, _npz_reference, (), (cut,), BINARY),
    Reader("graph/benchmark.npz", _benchmark_npz, _npz_read, _npz_reference, (), (cut,), BINARY),
]


def _planetoid(part: str) -> Any:
    def make(folder: Path) -> Path:
        rows = csr_matrix(np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]], np.float32))
        one_hot = np.array([[1, 0], [0, 1], [0, 1]], np.int32)
        content = {"x": rows[:2], "y": one_hot[:2], "allx": rows, "ally": one_hot, "tx": rows[:2], "ty": one_hot[:2]}
        content["graph"] = {0: [1, 3], 1: [0, 2], 2: [1], 3: [0, 4], 4: [3]}
        for name, value in content.items():
            (folder / f"ind.s.{name}").write_bytes(pickle.dumps(value, protocol=3))
        (folder / "ind.s.test.index").write_text("4\n3\n")
        return folder / f"ind.s.{part}"

    return make


def _planetoid_read(file: Path) -> Any:
    graph = read_planetoid(file.parent, "s")
    return [edges_of(graph), graph.y, graph.splits["test"]]


def _index_reference(file: Path) -> Any:
    found = [plainly.whole(words[0]) for words in plainly.rows(file) if len(words) == 1 or int("ragged")]
    if sorted(found) not in ([3, 4],):
        raise Open if len(found) == 2 and len(set(found)) == 2 and min(found) >= 3 and max(found) < 1000 else ValueError
    y = np.array([0, 1, 1, 0, 0])
    y[found] = [0, 1]
    return [both_ways([(0, 1), (0, 3), (1, 2), (3, 4)], 5), y, np.isin(np.arange(5), found)]


PLANETOID = [
    Reader(
        "graph/planetoid index",
        _planetoid("test.index"),
        _planetoid_read,
        _index_reference,
        NEUTRAL_TEXT,
        (bad_byte, mistyped(b" ", (0,), 0)),
        OTHER_TEXT,
    ),
    *(
        Reader(f"graph/planetoid {part}", _planetoid(part), _planetoid_read, None, (), (cut,), BINARY)
        for part in ("allx", "ty", "graph")
    ),
]


def _store(name: str) -> Any:
    def make(folder: Path) -> Path:
        ends = np.array(EDGES, np.int64).T
        write_store(
            folder / "store",
            "s",
            N,
            lambda: iter([(ends[0].copy(), ends[1].copy())]),
            lambda a, b: FEATURES[a:b],
            4,
            lambda a, b: np.arange(a, b),
            dtype="f32",
        )
        return folder / "store" / name

    return make


def _store_read(file: Path) -> Any:
    graph = open_store(file.parent)
    return [edges_of(graph), graph.y, graph.x]


def _meta_reference(file: Path) -> Any:
    found = plainly.value(plainly.text(file))
    sound = {"name": "s", "nodes": N, "entries": 10, "features": 4, "dtype": "f32", "labels": True}
    if {**found, "name": "s"} == sound and isinstance(found["name"], str) and found["labels"] is True:
        return [both_ways(EDGES, N), np.arange(N), FEATURES]
    if {**found, "name": 0, "labels": 0} == {**sound, "name": 0, "labels": 0} or set(found) != set(sound):
        raise Open
    raise ValueError(found)


def _indices_reference(file: Path) -> Any:
    found = np.frombuffer(file.read_bytes(), "<i4")
    indptr = np.fromfile(file.with_name("indptr.i64"), "<i8")
    pairs = [(row, int(found[k])) for row in range(N) for k in range(indptr[row], indptr[row + 1])]
    if len(found) != 10 or any(not 0 <= end < N for _, end in pairs):
        raise ValueError("indices")
    if sorted(set(pairs)) != list(map(tuple, both_ways(pairs, N))):
        raise Open  # not symmetric
    return [sorted(map(list, pairs)), np.arange(N), FEATURES]


STORES = [
    Reader(
        "graph/store's graph.json",
        _store("graph.json"),
        _store_read,
        _meta_reference,
        NEUTRAL_TEXT,
        (
            bad_byte,
            value_of(b"nodes", (b'"x"', b"null", b"-1", b"6", b"[]")),
            value_of(b"dtype", (b'"f8"', b"[]", b"null")),
        ),
        OTHER_TEXT,
    ),
    Reader("graph/store's indices", _store("indices.i32"), _store_read, _indices_reference, (), (cut,), BINARY),
    *(
        Reader(f"graph/store's {name}", _store(name), _store_read, None, (), (cut,), BINARY)
        for name in ("indptr.i64", "y.i64")
    ),
]


def _encoder() -> Encoder:
    config = PretrainConfig.of(data={"name": "s"}, method={"name": "dgi", "encoder": {"hidden": 4}})
    return Encoder(build_method(config.method, 4, 3, 0), config, 0, Scaling(), 4, 3, "s")


@cache
def _shapes() -> dict[str, Any]:
    return {name: tuple(part.shape) for name, part in _encoder().method.state_dict().items()}


def _exported(name: str) -> Any:
    def make(folder: Path) -> Path:
        _encoder().save(folder / "encoder")
        return folder / "encoder" / name

    return make


def _weights(file: Path) -> Any:
    state = load_encoder(file.parent).method.state_dict()
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def _weights_reference(file: Path) -> Any:
    found = plainly.safetensors(file)
    if {name: part.shape for name, part in found.items()} != _shapes():
        raise ValueError("tensors")
    return found


EXPORTS = [
    Reader(
        "graph/encoder's config.json",
        _exported("config.json"),
        _weights,
        None,
        NEUTRAL_TEXT,
        (
            bad_byte,
            value_of(b"n_features", (b'"x"', b"null", b"5", b"-1", b"[]")),
            named("name of the method", lambda content, _: (content.replace(b'"dgi"', b'"nobody"'), None)),
        ),
        OTHER_TEXT,
    ),
    Reader("graph/encoder's weights", _exported("model.safetensors"), _weights, _weights_reference, (), (cut,), BINARY),
]
READERS = [*ARRAYS, *NPZ, *PLANETOID, *STORES, *EXPORTS]
