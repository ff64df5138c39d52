"""Knowledge graphs: triples, and texts of their entities."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from espalier.core.errors import DataError
from espalier.core.io.text import parse_json, read_text, text_lines
from espalier.graph.data.graph import symmetric
from espalier.graph.ops.csr import CSR


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """entities: ids. adj: pairs of entities in some triple. pairs: (2, T) int64 head and tail of each triple. relation:
    (T,) int64 its relation. relations: their ids. texts: of each entity, empty if unknown.
    """

    entities: list[str]
    adj: CSR
    pairs: Tensor
    relation: Tensor
    relations: list[str]
    texts: list[str]


def read_codex(triples: Path, texts: Path) -> KnowledgeGraph:
    """CoDEx: `triples/{train,valid,test}.txt`; an entity's text is the labels, descriptions and extracts of its
    types.

    Raises DataError with file and line.
    """
    rows = [row for part in ("train", "valid", "test") for row in _triples(triples / f"{part}.txt")]
    entities = sorted({end for head, _, tail in rows for end in (head, tail)})
    relations = sorted({relation for _, relation, _ in rows})
    place, kind = {e: k for k, e in enumerate(entities)}, {r: k for k, r in enumerate(relations)}
    pairs = torch.tensor([[place[head] for head, _, _ in rows], [place[tail] for _, _, tail in rows]])
    relation = torch.tensor([kind[r] for _, r, _ in rows])
    adj = symmetric(pairs[0], pairs[1], len(entities), str(triples))
    return KnowledgeGraph(entities, adj, pairs, relation, relations, _type_texts(entities, texts))


def _triples(file: Path) -> list[tuple[str, str, str]]:
    if not file.is_file():
        raise DataError(f"there is no {file}: a knowledge graph needs train.txt, valid.txt and test.txt")
    rows: list[tuple[str, str, str]] = []
    blank = 0
    for number, line in text_lines(file):
        if not line:
            blank = blank or number
            continue
        words = line.split("\t")
        if blank or len(words) != 3 or not all(word.strip() for word in words):
            found = "" if blank else line if len(line) < 80 else line[:77] + "..."
            where = f"{file}:{blank or number}"
            raise DataError(f"{where}: expected head, relation and tail separated by tabs, found {found!r}")
        rows.append((words[0], words[1], words[2]))
    if not rows:
        raise DataError(f"{file} has no triples")
    return rows


def _type_texts(entities: list[str], folder: Path) -> list[str]:
    types = _mapping(folder / "types-entity2types.json", list, "a list of types")
    names = _mapping(folder / "types-en-types.json", dict, "a label and a description")
    extracts = _extracts(folder / "types-en-extracts.zip")

    def text(kind: str) -> str:
        about = names.get(kind, {})
        return " ".join((about.get("label") or "", about.get("description") or "", extracts.get(kind, "")))

    known: dict[str, str] = {}
    return [" ".join(known.setdefault(kind, text(kind)) for kind in types.get(entity, [])) for entity in entities]


def _extracts(file: Path) -> dict[str, str]:
    """The text of each type."""
    try:
        with zipfile.ZipFile(file) as archive:
            raw = {Path(name).stem: archive.read(name) for name in archive.namelist() if name.endswith(".txt")}
        return {kind: content.decode("utf-8-sig") for kind, content in raw.items()}
    except Exception as error:  # a broken archive can raise anything
        raise DataError(f"{file} cannot be read ({error})") from None


def _mapping(file: Path, kind: type, what: str) -> dict[str, Any]:
    """By id, lists of texts, or mappings whose label and description are texts or null."""
    found = parse_json(read_text(file), str(file))
    if not isinstance(found, dict):
        raise DataError(f"{file}: a mapping by id is needed, found a {type(found).__name__}")
    words = (str, type(None)) if kind is dict else (str,)
    for name, value in found.items():
        texts = [value.get("label"), value.get("description")] if isinstance(value, dict) else value
        if not isinstance(value, kind) or not all(isinstance(text, words) for text in texts):
            raise DataError(f"{file}: {name!r} has {str(value)[:60]}, where {what} is needed")
    return found
