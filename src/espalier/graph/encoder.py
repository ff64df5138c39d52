"""A pretrained encoder with everything that is needed to embed a graph, in memory and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from espalier import __version__
from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.core.io.files import atomic_dir, write_json
from espalier.core.io.text import read_object
from espalier.graph.card import card
from espalier.graph.config import PretrainConfig
from espalier.graph.data.graph import Graph
from espalier.graph.data.load import load
from espalier.graph.data.prepare import Scaling, scaled
from espalier.graph.methods.api import Method
from espalier.graph.methods.build import build_method
from espalier.graph.preparation import as_judged, make_batches
from espalier.graph.sampling.clusters import Clusters
from espalier.graph.tasks.config import SVMConfig
from espalier.graph.tasks.svm import pool

LAYOUT = 1
"""Version of the format of `config.json`."""
_SCALING = "scaling."
"""Before the names of the scaling's tensors in `model.safetensors`."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """A pretrained method, the scaling of its features, its contexts, and the pooling for sets of graphs.

    config, seed: of its training. source: what `load` read its graph from, absolute if it is a path; empty for a graph
    made in memory. data: the graph's name.
    """

    method: Method
    config: PretrainConfig
    seed: int
    scaling: Scaling
    n_features: int
    n_classes: int
    data: str
    source: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, method: Method, config: PretrainConfig, graph: Graph, seed: int) -> Encoder:
        """The encoder that was trained on `graph` with `config`."""
        sizes = graph.n_features, graph.n_classes
        return cls(method, config, seed, graph.scaling, *sizes, graph.name, graph.source)

    def embed(self, graph: Graph) -> Tensor:
        """(N, H) embeddings of the nodes; for a set of graphs (G, H), pooled. Computed by contexts if it was trained on
        them.

        graph: unscaled, or with its features scaled as in training. Raises DataError if it has other features.
        """
        if graph.n_features != self.n_features:
            raise DataError(f"{graph.name} has {graph.n_features} features, but this encoder reads {self.n_features}")
        labelled = graph.y is not None and "train" in graph.splits
        if self.config.method.name == "scr" and self.config.method.label_hops and not labelled:
            raise DataError(f"{graph.name}: this encoder reads labels of training nodes, so it needs `y` and a split")
        graph = scaled(graph, self.scaling)
        batches = make_batches(graph, self.config)
        if isinstance(batches, Clusters):
            return torch.cat([self.method.embed(batch) for batch in batches.around(torch.arange(graph.n_nodes))])
        z, how = self.method.embed(graph), self.config.evaluate
        if graph.ptr is None:
            return z
        return pool(z, graph, how.pooling if isinstance(how, SVMConfig) else "mean")

    def load_data(self, root: DataRoot | None = None) -> Graph:
        """The graph of its training, read again: scaled, split and with the same held-out links.

        Raises DataError if that graph was made in memory, or is no longer at its source.
        """
        if not self.source:
            raise DataError(f"this encoder was trained on {self.data}, a graph made in memory: give `embed` a graph")
        graph = load(self.source, root=root, normalise=self.scaling.how)
        return as_judged(graph, self.config, self.seed)[0]

    def save(self, folder: str | Path, figures: Mapping[str, float] | None = None) -> None:
        """Write `model.safetensors`, `config.json` and a model card, `README.md`, with the scores; all or nothing."""
        weights, scaling, path = _tensors(self.method), self.scaling, Path(folder)
        fitted = {"mean": scaling.mean, "deviation": scaling.deviation}
        scales = {_SCALING + name: value for name, value in fitted.items() if value is not None}
        content = {
            "layout": LAYOUT,
            "espalier": __version__,
            "data": self.data,
            "source": self.source,
            "seed": self.seed,
            "scaling": scaling.how,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
            "figures": dict(figures or self.figures),
            "recipe": self.config.model_dump(mode="json"),
        }
        tensors = {name: value.contiguous().clone() for name, value in (weights | scales).items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_dir(path) as temp:
            save_file(tensors, temp / "model.safetensors")
            write_json(temp / "config.json", content)
            (temp / "README.md").write_text(card(content, sum(value.numel() for value in weights.values())))


def load_encoder(folder: str | Path) -> Encoder:
    """The encoder that `Encoder.save` wrote. Raises DataError if the folder has none, or it is incomplete."""
    file, weights = Path(folder) / "config.json", Path(folder) / "model.safetensors"
    content = read_object(file)
    if content.get("layout") != LAYOUT:
        raise DataError(
            f"{file} has no exported encoder of layout {LAYOUT}; one that an earlier version wrote does not "
            "know how its features were scaled: train it again"
        )
    try:
        config = PretrainConfig.of(**content["recipe"])
        sizes = int(content["n_features"]), int(content["n_classes"])
        method = build_method(config.method, *sizes)
        tensors = load_file(weights)
        parts = {name: tensors.pop(_SCALING + name, None) for name in ("mean", "deviation")}
        if any(part is not None and part.shape != (sizes[0],) for part in parts.values()):
            raise ValueError("its scaling is of another number of features")
        scaling = Scaling(content["scaling"], **parts)
        data, source, figures = str(content["data"]), str(content["source"]), dict(content["figures"])
        encoder = Encoder(method.eval(), config, int(content["seed"]), scaling, *sizes, data, source, figures)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{folder} has no exported encoder ({type(error).__name__}: {error})") from None
    _fill(method, tensors, weights)
    return encoder


def _fill(method: Method, tensors: Mapping[str, Tensor], file: Path) -> None:
    own = _tensors(method)
    found, wanted = ({name: tuple(value.shape) for name, value in part.items()} for part in (tensors, own))
    for name in sorted(own.keys() | tensors.keys()):
        if found.get(name) != wanted.get(name):
            sizes = f"is {found.get(name, 'missing')}, where config.json wants {wanted.get(name, 'none')}"
            raise DataError(f"{file}: {name} {sizes}")
    method.load_state_dict(tensors, strict=False)


def _tensors(method: Method) -> dict[str, Tensor]:
    """Weights and buffers, without what only a training goes on from."""
    return {name: value for name, value in method.state_dict().items() if isinstance(value, Tensor)}
