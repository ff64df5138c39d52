"""The jobs of the graph room, for the command line."""

from __future__ import annotations

from espalier.core.job import Job, JobFunction
from espalier.graph.align.config import AlignConfig
from espalier.graph.config import PretrainConfig, TableConfig


def _pretrain() -> JobFunction:
    from espalier.graph.pretraining import pretrain

    return pretrain


def _table() -> JobFunction:
    from espalier.graph.table import make_table

    return make_table


def _align() -> JobFunction:
    from espalier.graph.align.job import align

    return align


JOBS: tuple[Job, ...] = (
    Job("graph.pretrain", "train a graph encoder and judge its embeddings", PretrainConfig, _pretrain),
    Job("graph.table", "every method on every data set, beside the published figures", TableConfig, _table),
    Job("graph.align", "one encoder for many graphs, against one encoder each", AlignConfig, _align),
)
