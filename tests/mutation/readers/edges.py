"""Graphs as text: edge lists and labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import reference as plainly
from mutators import (
    LINES,
    NEUTRAL_TEXT,
    OTHER_TEXT,
    bad_byte,
    mistyped,
    named,
    ragged,
)
from oracle import Open, Reader

from espalier.graph.data.edges import read_edges
from espalier.graph.data.graph import Graph
from espalier.graph.sampling.convert import convert
from espalier.graph.sampling.store import open_store

EDGES = [(0, 1), (1, 2), (3, 1), (4, 0), (2, 4)]
N = 5
FEW = 1000
"""Larger node numbers may be refused, as being not dense."""


def edges_of(graph: Graph) -> list[list[int]]:
    return sorted(map(list, zip(graph.adj.rows.tolist(), graph.adj.columns.tolist(), strict=True)))


def both_ways(pairs: Any, n: int) -> list[list[int]]:
    """Each edge in both directions, once, without loops. Raises ValueError for a node that there is not."""
    if any(not 0 <= end < n for pair in pairs for end in pair):
        raise ValueError("node")
    return sorted({(a, b) for x, y in pairs for a, b in ((x, y), (y, x)) if a != b})  # type: ignore[return-value]


def _edge_list(name: str, separator: str, header: str = "") -> Any:
    def make(folder: Path) -> Path:
        np.save(folder / "features.npy", np.eye(N, dtype=np.float32))
        (folder / "labels.txt").write_text("0\n1\n1\n-1\n2\n")
        lines = (
            [header, *(f"{a}{separator}{b}" for a, b in EDGES)] if header else [f"{a}{separator}{b}" for a, b in EDGES]
        )
        (folder / name).write_text("\n".join(lines) + "\n")
        return folder / name

    return make


def cells_of(file: Path) -> list[list[str]]:
    """The cells of lines; the first says what separates them. # and % begin remarks."""
    lines = [line for line in plainly.text(file).split("\n") if line.strip()]
    if any(mark in plainly.text(file) for mark in '#%;"'):
        raise Open
    separator = next((mark for mark in "\t," if lines and mark in lines[0]), None)
    return [[cell.strip() for cell in line.split(separator)] for line in lines]


def _pairs(file: Path) -> list[tuple[int, int]]:
    """The first two columns; a first line that begins with a letter and holds no number is a header."""
    rows = cells_of(file)
    if any(len(row) != len(rows[0]) or len(row) < 2 for row in rows):
        raise ValueError("ragged")
    if re.match(r"[^\W\d]|$", rows[0][0]) and not any(re.fullmatch(r"[-+]?[0-9]+", cell) for cell in rows[0]):
        rows = rows[1:]
    found = [(plainly.whole(row[0]), plainly.whole(row[1])) for row in rows]
    if max(map(max, found)) > FEW or len(rows[0]) > 2:
        raise Open
    if "-0" in [word for row in rows for word in row]:
        raise Open
    return found


def _edges_reference(file: Path) -> Any:
    return both_ways(_pairs(file), N)


def _with_features(file: Path) -> Any:
    return edges_of(read_edges(file, file.parent / "features.npy"))


def _alone_reference(file: Path) -> Any:
    pairs = _pairs(file)
    top = max(map(max, pairs)) + 1
    if len({end for pair in pairs for end in pair}) < top:
        raise Open  # ids that are not dense
    return both_ways(pairs, top)


def _labelled(file: Path) -> Any:
    graph = read_edges(file.parent / "edges.csv", file.parent / "features.npy", file)
    return graph.y


def _labels(folder: Path) -> Path:
    _edge_list("edges.csv", ",")(folder)
    return folder / "labels.txt"


def _labels_reference(file: Path) -> Any:
    rows = [words for words in plainly.rows(file) if words[0][0] not in "#%"]
    if any(mark in plainly.text(file) for mark in "#%"):
        raise Open
    found = [plainly.whole(word) for (word,) in rows]
    if len(found) != N:
        raise ValueError("rows")
    if sorted({label for label in found if label >= 0}) != list(range(max(found) + 1)) or min(found) < -1:
        raise Open  # labels with gaps
    return np.array(found)


def _negative(content: bytes, rng: Any) -> Any:
    return content.replace(b"3,1", b"-3,1"), None


HEADER = [
    Reader(
        f"graph/edges{ending}",
        _edge_list(f"edges{ending}", separator, header),
        _with_features,
        _edges_reference,
        LINES,
        (bad_byte, ragged(separator.encode(), 2, more=False), mistyped(separator.encode(), (0, 1), 1)),
        OTHER_TEXT,
    )
    for ending, separator, header in ((".csv", ",", "source,target"), (".tsv", "\t", "source\ttarget"))
]
PLAIN = [
    Reader(
        "graph/edges.txt",
        _edge_list("edges.txt", " "),
        _with_features,
        _edges_reference,
        LINES,
        (bad_byte, ragged(b" ", 1), mistyped(b" ", (0, 1), 1)),
        OTHER_TEXT,
    ),
    Reader(
        "graph/edges alone.csv",
        _edge_list("edges.csv", ","),
        lambda file: edges_of(read_edges(file)),
        _alone_reference,
        LINES,
        (bad_byte, ragged(b",", 1), mistyped(b",", (0, 1), 1), named("negative", _negative)),
        OTHER_TEXT,
    ),
    Reader(
        "graph/labels.txt",
        _labels,
        _labelled,
        _labels_reference,
        LINES,
        (bad_byte, mistyped(b",", (0,), 1)),
        OTHER_TEXT,
    ),
]


def _converted(file: Path) -> Any:
    convert(file, file.parent / "features.npy", file.parent / "store")
    return edges_of(open_store(file.parent / "store"))


CONVERT = Reader(
    "graph/convert edges.csv",
    _edge_list("edges.csv", ",", "source,target"),
    _converted,
    _edges_reference,
    NEUTRAL_TEXT,
    (bad_byte, ragged(b",", 2, more=False), mistyped(b",", (0, 1), 1)),
    OTHER_TEXT,
)


READERS = [*HEADER, *PLAIN, CONVERT]
