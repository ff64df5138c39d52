"""Sets of graphs and knowledge graphs as text."""

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
    LINES,
    NEUTRAL_TEXT,
    OTHER_TEXT,
    bad_byte,
    mistyped,
    ragged,
    value_of,
)
from oracle import Open, Reader

from espalier.graph.align.knowledge import read_codex
from espalier.graph.data.tu import read_tu
from readers.edges import both_ways, cells_of, edges_of

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
        rows = cells_of(file.with_name(f"S_{name}.txt"))
        if not rows and name == "A":
            raise Open  # no edges
        if any(len(words) != 1 + (name == "A") for words in rows):
            raise ValueError("ragged")
        columns[name] = np.array([[plainly.whole(word) for word in words] for words in rows], np.int64)
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
        f"graph/TU {part}", _tu(part), _tu_read, _tu_reference, LINES, (bad_byte, mistyped(b", ", (0,), 1)), OTHER_TEXT
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


READERS = [*TU_SETS, *CODEX]
