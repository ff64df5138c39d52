"""Recipe sections of the graph package. Imports without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, PrivateAttr, model_validator

from espalier.core.config import Config, merged
from espalier.core.errors import ConfigError
from espalier.graph.data.shares import PER_CLASS, RANDOM, wrong_share
from espalier.graph.methods.config import AnyMethod
from espalier.graph.methods.masked.config import GraphMAEConfig
from espalier.graph.sampling.config import ContextConfig
from espalier.graph.tasks.config import AnyEvaluation, LinearConfig
from espalier.graph.train.config import FitConfig

PLANTED = "planted"
"""The name of the generated data set: see `espalier.graph.data.generated`."""


class DataConfig(Config):
    """The graph, and its split into training, validation and test nodes."""

    name: str
    """`planted` (generated), a data set below `graph/` of the data root, or the path of a file or folder."""
    normalise: Literal["row", "standard", "none"] | None = None
    """How features are scaled; by default, bag-of-words rows are divided by their sums."""
    split: Literal["public", "random", "per_class"] = "public"
    """The split: the one that comes with the data, shares of all nodes, or a number of nodes per class."""
    train: float | None = None
    """random: share of the labelled nodes to train on, 0.1. per_class: number of nodes per class, 20."""
    val: float | None = None
    """random: share of the labelled nodes to validate on, 0.1. per_class: number of nodes per class, 30."""

    @property
    def shares(self) -> tuple[float, float]:
        """`train` and `val`, with the defaults of the split if they are not given."""
        train, val = PER_CLASS if self.split == "per_class" else RANDOM
        return (train if self.train is None else self.train, val if self.val is None else self.val)

    @model_validator(mode="after")
    def _shares_make_sense(self) -> Self:
        if self.split != "public":
            if wrong := wrong_share(self.split, *self.shares):
                raise ConfigError(wrong)
        elif self.train is not None or self.val is not None:
            raise ConfigError("train, val: the public split has its own: choose another `split`, or set neither")
        return self


class PretrainConfig(Config):
    """Train one method on one data set, and evaluate its embeddings."""

    data: DataConfig
    """The graph."""
    method: AnyMethod = GraphMAEConfig()
    """The method and its settings."""
    fit: FitConfig = FitConfig()
    """Training settings. On one graph, `batch_size` is the number of contexts."""
    context: ContextConfig = ContextConfig()
    """The context of a node, if one graph is trained in mini-batches."""
    evaluate: AnyEvaluation = LinearConfig()
    """How its embeddings are evaluated."""
    seeds: PositiveInt = 1
    """Number of seeds, counted from the run's own seed. Each trains encoder and probe again."""
    map: Literal["umap", "tsne", "none"] = "tsne"
    """How the report projects the embeddings to two dimensions."""


class CellConfig(Config):
    """One method on one data set, in a table."""

    published: float | None = None
    """The published result, in %."""
    std: NonNegativeFloat | None = None
    """Its published standard deviation."""
    seeds: PositiveInt | None = None
    """Number of seeds of this cell; None: that of the table."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Settings on this data set that differ from the row's."""


class RowConfig(Config):
    """One method, in a table."""

    settings: dict[str, Any]
    """A pretraining recipe without its data."""
    cells: dict[str, CellConfig]
    """Cells by data set."""


class TableConfig(Config):
    """A table: every method on every data set, with the published results beside ours."""

    seeds: PositiveInt = 20
    """Number of seeds per cell."""
    data: dict[str, dict[str, Any]]
    """The columns: settings that all methods share on a data set."""
    rows: dict[str, RowConfig]
    """The methods."""
    only: tuple[str, ...] = ()
    """The cells to run, as `method/data`; all if empty."""
    baseline: str = ""
    """The row with which every other row is compared, by a paired test over seeds."""
    workers: PositiveInt = 1
    """Number of processes that compute cells in parallel and share the cores."""

    results: Path | None = None
    """Folder of each seed's results, by the hash of its recipe; None: the run folder. Runs with the same folder share
    their results: clear it when the code has changed."""

    _configs: dict[tuple[str, str], PretrainConfig] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _cells_are_recipes(self) -> Self:
        for row, column, cell in self._all():
            if column not in self.data:
                raise ConfigError(f"rows.{row}.cells.{column}: the table has no column {column!r} under `data`")
            whole: dict[str, Any] = {"data": {"name": column}, "map": "none"}
            for layer in (self.data[column], self.rows[row].settings, cell.settings):
                whole = merged(_without_what_changes_kind(whole, layer), layer)
            try:
                self._configs[row, column] = PretrainConfig.of(**whole)
            except ConfigError as error:
                raise ConfigError(f"rows.{row} on {column}: {error}") from None
        known = {f"{row}/{column}" for row, column in self._configs}
        if unknown := set(self.only) - known:
            raise ConfigError(f"only: there is no cell {sorted(unknown)[0]!r}; there is {', '.join(sorted(known))}")
        if self.baseline and self.baseline not in self.rows:
            raise ConfigError(f"baseline: there is no row {self.baseline!r}; there is {', '.join(self.rows)}")
        return self

    def chosen(self) -> list[tuple[str, str, PretrainConfig, int]]:
        """(row, column, recipe, number of seeds) of each cell to run, in the table's order."""
        return [
            (row, column, self._configs[row, column], cell.seeds or self.seeds)
            for row, column, cell in self._all()
            if not self.only or f"{row}/{column}" in self.only
        ]

    def _all(self) -> list[tuple[str, str, CellConfig]]:
        return [(row, column, cell) for row, config in self.rows.items() for column, cell in config.cells.items()]


def _without_what_changes_kind(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` less the sections of which `over` chooses another kind: their keys mean nothing to it."""
    kinds = {"evaluate": "kind", "method": "name"}
    return {
        section: value
        for section, value in base.items()
        if section not in kinds
        or over.get(section, {}).get(kinds[section], value.get(kinds[section])) == value.get(kinds[section])
    }
