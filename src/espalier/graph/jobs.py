"""The jobs of the graph package, for the command line."""

from __future__ import annotations

from collections.abc import Iterable

from espalier.core.fetch.reads import Read
from espalier.core.job import Job, JobFunction
from espalier.graph.align.config import AlignConfig
from espalier.graph.config import PLANTED, PretrainConfig, TableConfig


def _pretrain() -> JobFunction:
    from espalier.graph.pretraining import pretrain

    return pretrain


def _table() -> JobFunction:
    from espalier.graph.table import make_table

    return make_table


def _align() -> JobFunction:
    from espalier.graph.align.job import align

    return align


def _graphs(names: Iterable[str]) -> tuple[Read, ...]:
    return tuple(Read(name, "graph", through="torch_geometric") for name in dict.fromkeys(names) if name != PLANTED)


def _of_pretrain(config: PretrainConfig) -> tuple[Read, ...]:
    return _graphs([config.data.name])


def _of_table(config: TableConfig) -> tuple[Read, ...]:
    return _graphs(recipe.data.name for _, _, recipe, _ in config.chosen())


def _of_align(config: AlignConfig) -> tuple[Read, ...]:
    return (*_graphs(source.data.name for source in config.sources), Read(config.triples), Read(config.texts))


JOBS: tuple[Job, ...] = (
    Job("graph.pretrain", "train a graph encoder and judge its embeddings", PretrainConfig, _pretrain, _of_pretrain),
    Job("graph.table", "every method on every data set, beside the published figures", TableConfig, _table, _of_table),
    Job("graph.align", "one encoder for many graphs, against one encoder each", AlignConfig, _align, _of_align),
)
