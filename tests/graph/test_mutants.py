"""Readers meet changed files: the same meaning reads the same, damage is named, all else is as a reference has it.

The references are plain: `str.split`, `int` and numpy's own view of the bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import DataError
from espalier.graph.data.edges import read_edges
from espalier.graph.data.graph import Graph
from espalier.graph.data.npz import read_npz
from espalier.graph.data.tu import read_tu
from espalier.graph.ops.features import dense
from espalier.graph.sampling.convert import convert
from espalier.graph.sampling.store import open_store

NODES = 6
ROWS = st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), min_size=1, max_size=8)
SEPARATORS = st.sampled_from([",", ";", "\t", " ", ", ", "  "])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mutants")
    np.save(place / "x.npy", np.eye(NODES, dtype=np.float32))
    return place


def directed(graph: Graph) -> set[tuple[int, int]]:
    return set(zip(graph.adj.rows.tolist(), graph.adj.columns.tolist(), strict=True))


def both(pairs: Any) -> set[tuple[int, int]]:
    return {edge for a, b in pairs for edge in ((a, b), (b, a)) if a != b}


def attempt(read: Callable[[], Graph], name: str) -> Graph | None:
    """What a reader makes of a file; None where it refuses it and names it."""
    try:
        return read()
    except DataError as error:
        message = str(error)
    assert name in message
    return None


@given(
    rows=ROWS,
    separator=SEPARATORS,
    extra=st.sampled_from([(), ("0.5",), ("7", "a word"), ("-1",)]),
    header=st.sampled_from(["", "source,target", "a,b"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    plus=st.booleans(),
    last=st.booleans(),
    blank=st.booleans(),
)
def test_files_that_mean_the_same_read_the_same(
    folder: Path,
    rows: list[tuple[int, int]],
    separator: str,
    extra: tuple[str, ...],
    header: str,
    encoding: str,
    end: str,
    plus: bool,
    last: bool,
    blank: bool,
) -> None:
    extra = tuple(word for word in extra if separator.strip() or " " not in word)
    sign = "+" if plus else ""
    lines = [separator.join([f"{sign}{a}", str(b), *extra]) for a, b in rows]
    if header:
        lines.insert(0, separator.join([*header.split(","), *("c" * (k + 1) for k in range(len(extra)))]))
    if blank:
        lines.insert(1, "")
        lines.append("# the end")
    file = folder / "e.csv"
    file.write_bytes((end.join(lines) + end * last).encode(encoding))
    assert directed(read_edges(file, folder / "x.npy")) == both(rows)
    convert(file, folder / "x.npy", folder / "store")
    assert directed(open_store(folder / "store")) == both(rows)


@given(
    rows=ROWS.filter(lambda rows: len(rows) > 1),
    at=st.integers(1, 7),
    wrong=st.sampled_from(
        ["x,1", "1", "1,2,3", "1,", ",1", "1.5,2", "1,6", "-1,2", "1,2_0", '"1,2', "1;2", "9" * 30 + ",1"]
    ),
    header=st.booleans(),
)
def test_damage_is_refused_by_file_and_line(
    folder: Path, rows: list[tuple[int, int]], at: int, wrong: str, header: bool
) -> None:
    lines = ["a,b"] * header + [f"{a},{b}" for a, b in rows]
    at = min(at, len(lines))
    lines.insert(at, wrong)
    file = folder / "e.csv"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=rf"e\.csv:{at + 1}: "):
        read_edges(file, folder / "x.npy")
    with pytest.raises(DataError, match=rf"e\.csv:{at + 1}: "):
        convert(file, folder / "x.npy", folder / "never")
    assert not (folder / "never").exists()


class Open(Exception):  # noqa: N818 (no error: an answer)
    """What the reference has no opinion on."""


def reference(content: bytes) -> set[tuple[int, int]]:
    """The edges of a CSV of two columns without header, remarks or quotes; ValueError for any other."""
    text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    if set(text) & set('#%";\t ') or re.match(r"\s*[^\W\d]", text):
        raise Open
    rows = [line.split(",") for line in text.split("\n") if line.strip()]
    if not rows or len({len(row) for row in rows}) > 1 or len(rows[0]) < 2:
        raise ValueError("ragged")
    if len(rows[0]) > 2:
        raise Open
    if not all(re.fullmatch(r"[+-]?[0-9]+", cell.strip()) for row in rows for cell in row):
        raise ValueError("no numbers")
    pairs = [(int(a.strip()), int(b.strip())) for a, b in rows]
    if any(not 0 <= end < NODES for pair in pairs for end in pair):
        raise ValueError("no such node")
    return both(pairs)


EDITS = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["set", "cut", "add"]), st.integers(0, 255)), max_size=3)


def edited(content: bytes, edits: list[tuple[int, str, int]]) -> bytes:
    out = bytearray(content)
    for place, what, byte in edits:
        place = place % (len(out) + 1)
        if what == "add":
            out.insert(place, byte)
        elif place < len(out):
            out[place : place + 1] = bytes([byte]) if what == "set" else b""
    return bytes(out)


@given(rows=ROWS, edits=EDITS)
@settings(max_examples=300)
def test_an_edge_list_with_other_bytes_is_as_the_reference_has_it(
    folder: Path, rows: list[tuple[int, int]], edits: list[tuple[int, str, int]]
) -> None:
    content = edited("".join(f"{a},{b}\n" for a, b in rows).encode(), edits)
    file = folder / "e.csv"
    file.write_bytes(content)
    graph = attempt(lambda: read_edges(file, folder / "x.npy"), "e.csv")
    try:
        expected = reference(content)
    except Open:
        return
    except ValueError:
        assert graph is None
        return
    assert graph is not None
    assert directed(graph) == expected


@given(edits=EDITS, part=st.sampled_from(["A", "graph_indicator", "graph_labels", "node_labels"]))
@settings(max_examples=200)
def test_a_tu_set_with_other_bytes_is_read_or_refused(
    folder: Path, edits: list[tuple[int, str, int]], part: str
) -> None:
    files = {
        "A": "1, 2\n2, 1\n3, 4\n",
        "graph_indicator": "1\n1\n2\n2\n",
        "graph_labels": "-1\n1\n",
        "node_labels": "0\n5\n0\n5\n",
    }
    for name, text in files.items():
        (folder / f"T_{name}.txt").write_bytes(edited(text.encode(), edits) if name == part else text.encode())
    graph = attempt(lambda: read_tu(folder, "T"), "T_")
    if graph is None:
        return
    assert graph.n_nodes == 4
    assert graph.n_graphs == 2
    assert all(graph.member[a] == graph.member[b] for a, b in directed(graph))


def packed(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


OWN = packed(indptr=np.array([0, 1, 3, 4]), indices=np.array([1, 0, 2, 1]), x=np.eye(3), y=np.array([0, 1, 1]))
FEATURES = np.arange(NODES * 2, dtype=np.float32).reshape(NODES, 2)
BINARY_EDITS = st.lists(
    st.tuples(st.integers(0, 4000), st.sampled_from(["set", "cut", "add"]), st.integers(0, 255)), min_size=1, max_size=3
)


@given(edits=BINARY_EDITS, cut=st.none() | st.integers(0, len(OWN) - 1))
@settings(max_examples=200)
def test_an_archive_with_other_bytes_is_read_or_refused(
    folder: Path, edits: list[tuple[int, str, int]], cut: int | None
) -> None:
    file = folder / "g.npz"
    file.write_bytes(edited(OWN, edits)[:cut])
    graph = attempt(lambda: read_npz(file), "g.npz")
    if graph is None:
        return
    assert cut is None
    assert directed(graph) == both([(0, 1), (1, 2)])  # archives have checksums


@given(edits=BINARY_EDITS)
@settings(max_examples=300)
def test_an_array_with_other_bytes_is_as_numpy_has_it(folder: Path, edits: list[tuple[int, str, int]]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, FEATURES)
    content = edited(buffer.getvalue(), edits)
    (folder / "e.csv").write_text("0,1\n")
    (folder / "f.npy").write_bytes(content)
    graph = attempt(lambda: read_edges(folder / "e.csv", folder / "f.npy"), "f.npy")
    if graph is None:
        return
    found = dense(graph.x).numpy()
    expected = np.load(io.BytesIO(content), allow_pickle=False)
    assert np.array_equal(found, expected.astype(np.float32))
    assert np.isfinite(found).all()


@given(
    edits=st.lists(
        st.tuples(st.integers(0, 80), st.sampled_from(["set", "cut", "add"]), st.integers(0, 255)), min_size=1
    ),
    name=st.sampled_from(["graph.json", "indptr.i64", "indices.i32", "y.i64", "x.f32"]),
)
@settings(max_examples=200)
def test_a_store_with_other_bytes_is_read_or_refused(
    folder: Path, edits: list[tuple[int, str, int]], name: str
) -> None:
    (folder / "e.csv").write_text("0,1\n1,2\n4,5\n")
    np.save(folder / "y.npy", np.arange(NODES) % 2)
    convert(folder / "e.csv", folder / "x.npy", folder / "s", folder / "y.npy")
    (folder / "s" / name).write_bytes(edited((folder / "s" / name).read_bytes(), edits))
    graph = attempt(lambda: open_store(folder / "s"), str(folder / "s"))
    if graph is None:
        return
    assert graph.n_nodes == NODES
    assert all(0 <= a < NODES and 0 <= b < NODES for a, b in directed(graph))
