"""`load`: reads a data set by its name or path, in any supported layout."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.graph.data.edges import read_edges
from espalier.graph.data.generated import GENERATED
from espalier.graph.data.graph import Graph
from espalier.graph.data.npz import read_npz
from espalier.graph.data.planetoid import read_planetoid
from espalier.graph.data.prepare import Normalise, normalised
from espalier.graph.data.tu import read_tu
from espalier.graph.sampling.store import open_store


def load(name: str | Path, *, root: DataRoot | None = None, normalise: Normalise | None = None) -> Graph:
    """A graph, or a set of graphs.

    name: a file (`.npz`, `.csv`, `.txt`, `.tsv`, `.parquet` edge list), a folder of raw files or of a graph store,
    `planted` (generated, see `GENERATED`), or the name of a data set below `graph/` of the data root. A missing data
    set is downloaded through PyTorch Geometric. Planetoid, gnn-benchmark and TU layouts are recognised by their files.
    normalise: how features are scaled; None: bag-of-words rows are divided by their sums. Raises DataError.
    """
    given = Path(os.path.abspath(name))  # noqa: PTH100 (links are not followed: their names are the graph's)
    if given.is_file():
        graph = normalised(_read_file(given), normalise or "none")
    elif given.is_dir():
        graph = _read_folder(given, given.name, normalise)
    elif name in GENERATED:
        return replace(normalised(GENERATED[str(name)](), normalise or "none"), source=str(name))
    else:
        return replace(_named_set(str(name), root or DataRoot.find(), normalise), source=str(name))
    return replace(graph, source=str(given))


def _named_set(name: str, root: DataRoot, normalise: Normalise | None) -> Graph:
    if root.path is not None and (root.path / "graph" / name).is_dir():
        return _read_folder(root.path / "graph" / name, name, normalise)
    return _download(name, root, normalise)


def _read_file(file: Path) -> Graph:
    if file.suffix == ".npz":
        return read_npz(file)
    beside = {part: file.with_name(f"{part}.npy") for part in ("features", "labels")}
    return read_edges(file, *(path if path.is_file() else None for path in beside.values()))


def _read_folder(folder: Path, name: str, normalise: Normalise | None) -> Graph:
    if (folder / "graph.json").is_file():
        if normalise not in (None, "none"):
            raise DataError(
                f"{folder}: features of a graph on disk cannot be scaled when it is read: "
                "scale them before the conversion"
            )
        return open_store(folder)
    raw = folder / "raw" if (folder / "raw").is_dir() else folder
    if found := sorted(raw.glob("ind.*.allx")):
        return _named(read_planetoid(raw, found[0].name.split(".")[1]), name, normalise or "row")
    if found := sorted(raw.glob("*_graph_indicator.txt")):
        return _named(read_tu(raw, found[0].name.removesuffix("_graph_indicator.txt")), name, normalise or "none")
    if found := sorted(raw.glob("*.npz")):
        return _named(read_npz(found[0]), name, normalise or "row")
    if found := sorted(file for ending in ("csv", "tsv", "parquet", "txt") for file in raw.glob(f"edges.{ending}")):
        return _named(_read_file(found[0]), name, normalise or "none")
    raise DataError(
        f"{folder} has no graph: neither ind.NAME.allx (Planetoid), NAME_graph_indicator.txt (TU), an .npz, "
        "nor edges.csv"
    )


def _named(graph: Graph, name: str, normalise: Normalise) -> Graph:
    return normalised(replace(graph, name=name), normalise)


ENDINGS = (".npz", ".csv", ".tsv", ".txt", ".parquet")
PLANETOID, AMAZON, COAUTHOR = ("Cora", "CiteSeer", "PubMed"), ("Computers", "Photo"), ("CS", "Physics")


def _download(name: str, root: DataRoot, normalise: Normalise | None) -> Graph:
    try:
        from torch_geometric import datasets
    except ModuleNotFoundError:
        datasets = None
    if len(Path(name).parts) > 1 or Path(name).suffix in ENDINGS:
        raise DataError(f"there is no file or folder {name}, and no such data set below graph/ of the data root")
    if datasets is None or root.path is None:
        return _read_folder(root.file(f"graph/{name}"), name, normalise)  # raises, and says what to set
    place = root.path / "graph"
    try:
        if name in PLANETOID:
            datasets.Planetoid(str(place), name)
        elif name in AMAZON:
            datasets.Amazon(str(place), name)
        elif name in COAUTHOR:
            datasets.Coauthor(str(place), name)
        else:
            datasets.TUDataset(str(place), name)
    except Exception as error:  # whatever the network or PyG does, the user needs to know which set and where
        raise DataError(
            f"{name} is not in {place}, and downloading it through PyTorch Geometric failed ({error}). "
            f"Put its raw files into {place / name / 'raw'}."
        ) from None
    return _read_folder(place / name, name, normalise)
