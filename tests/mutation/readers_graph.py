"""Graphs as text: edge lists, labels, TU sets, triples. Binary ones are in `readers_graph_binary`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import reference as plainly
from mutators import (
    ENCODINGS,
    LINE_ENDS,
    NEUTRAL_TEXT,
    OTHER_TEXT,
    bad_byte,
    blank_after,
    mistyped,
    named,
    ragged,
    value_of,
)
from oracle import Open, Reader

from espalier.graph.align.knowledge import read_codex
from espalier.graph.data.edges import read_edges
from espalier.graph.data.graph import Graph
from espalier.graph.data.tu import read_tu
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


def _pairs(file: Path) -> list[tuple[int, int]]:
    """The first two columns; a first line that begins with a letter is a header; # and % begin remarks."""
    rows = [words for words in plainly.rows(file, ", \t;") if words[0][0] not in "#%"]
    if any(mark in plainly.text(file) for mark in '#%;"'):
        raise Open
    if rows and rows[0][0][0].isalpha():
        rows = rows[1:]
    if any(len(row) != len(rows[0]) or len(row) < 2 for row in rows) or not rows:
        raise ValueError("ragged")
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
    rows = [words for words in plainly.rows(file, ", \t") if words[0][0] not in "#%"]
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


COMMON = (*NEUTRAL_TEXT, blank_after)
HEADER = [
    Reader(
        f"graph/edges{ending}",
        _edge_list(f"edges{ending}", separator, header),
        _with_features,
        _edges_reference,
        COMMON,
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
        COMMON,
        (bad_byte, ragged(b" ", 1), mistyped(b" ", (0, 1), 1)),
        OTHER_TEXT,
    ),
    Reader(
        "graph/edges alone.csv",
        _edge_list("edges.csv", ","),
        lambda file: edges_of(read_edges(file)),
        _alone_reference,
        COMMON,
        (bad_byte, ragged(b",", 1), mistyped(b",", (0, 1), 1), named("negative", _negative)),
        OTHER_TEXT,
    ),
    Reader(
        "graph/labels.txt",
        _labels,
        _labelled,
        _labels_reference,
        COMMON,
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

TU = {
    "A": "1, 2\n2, 1\n2, 3\n3, 2\n4, 5\n5, 4\n",
    "graph_indicator": "1\n1\n1\n2\n2\n",
    "graph_labels": "1\n-1\n",
    "node_labels": "0\n1\n1\n2\n0\n",
}


def _tu(part: str) -> Any:
    def make(folder: Path) -> Path:
        for name, content in TU.items():
            (folder / f"S_{name}.txt").write_text(content)
        return folder / f"S_{part}.txt"

    return make


def _tu_read(file: Path) -> Any:
    graph = read_tu(file.parent, "S")
    return [edges_of(graph), graph.ptr, graph.y, graph.x]


def _tu_reference(file: Path) -> Any:
    columns = {}
    for name in TU:
        rows = plainly.rows(file.with_name(f"S_{name}.txt"), ", \t")
        if any(word[0] in "#%" for words in rows for word in words):
            raise Open
        if any(len(words) != 1 + (name == "A") for words in rows):
            raise ValueError("ragged")
        columns[name] = np.array([[plainly.whole(word) for word in words] for words in rows])
    member, labels, kinds = (columns[name][:, 0] for name in ("graph_indicator", "graph_labels", "node_labels"))
    if (np.diff(member) < 0).any() or member.min() < 1 or member.max() > len(labels) or len(kinds) != len(member):
        raise ValueError("counts")
    edges = both_ways((columns["A"] - 1).tolist(), len(member))
    if any(member[a] != member[b] for a, b in edges):
        raise ValueError("across")
    if set(member) != set(range(1, len(labels) + 1)) or len(set(kinds)) < 2:
        raise Open
    ptr = np.concatenate([[0], np.cumsum(np.bincount(member - 1))])
    one_hot = (kinds[:, None] == np.unique(kinds)).astype(np.float32)
    return [edges, ptr, np.unique(labels, return_inverse=True)[1], one_hot]


TU_SETS = [
    Reader(
        f"graph/TU {part}", _tu(part), _tu_read, _tu_reference, COMMON, (bad_byte, mistyped(b", ", (0,), 1)), OTHER_TEXT
    )
    for part in TU
]

TRIPLES = "Q1\tP1\tQ2\nQ2\tP2\tQ3\nQ3\tP1\tQ1\n"


def _codex(part: str) -> Any:
    def make(folder: Path) -> Path:
        for name, lines in (("train", TRIPLES), ("valid", "Q1\tP2\tQ3\n"), ("test", "Q4\tP1\tQ1\n")):
            (folder / f"{name}.txt").write_text(lines)
        (folder / "types-entity2types.json").write_text(json.dumps({"Q1": ["T1"], "Q2": ["T1", "T2"]}))
        types = {"T1": {"label": "person", "description": "one"}, "T2": {"label": "city", "description": None}}
        (folder / "types-en-types.json").write_text(json.dumps(types))
        with zipfile.ZipFile(folder / "types-en-extracts.zip", "w") as archive:
            archive.writestr("T1.txt", "Someone.")
        return folder / part

    return make


def _codex_read(file: Path) -> Any:
    found = read_codex(file.parent, file.parent)
    return [found.entities, found.relations, found.pairs, found.relation, found.texts]


def _codex_reference(file: Path) -> Any:
    lines = [
        line
        for part in ("train", "valid", "test")
        for line in plainly.text(file.with_name(f"{part}.txt")).rstrip("\n").split("\n")
    ]
    rows = [line.split("\t") for line in lines]
    if any(len(row) != 3 for row in rows):
        raise ValueError("ragged")
    if any(not word.strip() for row in rows for word in row):
        raise Open
    entities = sorted({end for head, _, tail in rows for end in (head, tail)})
    kinds = sorted({relation for _, relation, _ in rows})
    pairs = np.array([[entities.index(row[end]) for row in rows] for end in (0, 2)])
    about = {"T1": "person one Someone.", "T2": "city  "}
    of = {"Q1": ["T1"], "Q2": ["T1", "T2"]}
    texts = [" ".join(about[kind] for kind in of.get(entity, [])) for entity in entities]
    return [entities, kinds, pairs, np.array([kinds.index(relation) for _, relation, _ in rows]), texts]


CODEX = [
    Reader(
        "graph/triples.txt",
        _codex("train.txt"),
        _codex_read,
        _codex_reference,
        (*ENCODINGS, *LINE_ENDS),
        (bad_byte, ragged(b"\t", 0)),
        OTHER_TEXT,
    ),
    Reader(
        "graph/types of entities.json",
        _codex("types-entity2types.json"),
        _codex_read,
        None,
        NEUTRAL_TEXT,
        (bad_byte, value_of(b"Q1", (b"1", b"[1]"))),
        OTHER_TEXT,
    ),
    Reader(
        "graph/types.json",
        _codex("types-en-types.json"),
        _codex_read,
        None,
        NEUTRAL_TEXT,
        (bad_byte, value_of(b"label", (b"1", b"[]"))),
        OTHER_TEXT,
    ),
    Reader("graph/extracts.zip", _codex("types-en-extracts.zip"), _codex_read, None, (), (), OTHER_TEXT),
]
READERS = [*HEADER, *PLAIN, CONVERT, *TU_SETS, *CODEX]
