"""Knowledge graphs: triples, and texts of their entities."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from espalier.core.errors import DataError
from espalier.graph.data.graph import symmetric
from espalier.graph.ops.csr import CSR


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """entities: ids. adj: which entities some triple joins. pairs: (2, T) int64 head and tail of each triple. relation:
    (T,) int64 its relation. relations: their ids. texts: of each entity, empty where nothing is known.
    """

    entities: list[str]
    adj: CSR
    pairs: Tensor
    relation: Tensor
    relations: list[str]
    texts: list[str]


def read_codex(triples: Path, texts: Path) -> KnowledgeGraph:
    """CoDEx: `triples/{train,valid,test}.txt`; an entity's text is the labels, descriptions and extracts of its types.

    Raises DataError by file and line.
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
    rows = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        words = line.split("\t")
        if len(words) != 3:
            raise DataError(f"{file}:{number}: expected head, relation and tail with tabs between, found {line!r}")
        rows.append((words[0], words[1], words[2]))
    return rows


def _type_texts(entities: list[str], folder: Path) -> list[str]:
    types, names = _json(folder / "types-entity2types.json"), _json(folder / "types-en-types.json")
    extracts: dict[str, str] = {}
    try:
        with zipfile.ZipFile(folder / "types-en-extracts.zip") as archive:
            for name in archive.namelist():
                if name.endswith(".txt"):
                    extracts[Path(name).stem] = archive.read(name).decode("utf-8", "replace")
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{folder / 'types-en-extracts.zip'} cannot be read ({error})") from None

    def text(kind: str) -> str:
        about = names.get(kind, {})
        return " ".join((about.get("label") or "", about.get("description") or "", extracts.get(kind, "")))

    known: dict[str, str] = {}
    return [" ".join(known.setdefault(kind, text(kind)) for kind in types.get(entity, [])) for entity in entities]


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error})") from None
