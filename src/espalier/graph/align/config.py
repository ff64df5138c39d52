"""The recipe section of the job `graph.align`. Imports without torch."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from espalier.core.config import Config
from espalier.graph.config import DataConfig
from espalier.graph.methods.masked.config import GraphMAEConfig
from espalier.graph.nn.config import EncoderConfig
from espalier.graph.sampling.config import ContextConfig
from espalier.graph.tasks.config import AnyEvaluation, LinearConfig
from espalier.graph.train.config import FitConfig

_ENCODER = EncoderConfig(hidden=256, dropout=0.2, attention_dropout=0.2, norm="layer", experts=4)


class SourceConfig(Config):
    """One of the graphs to pretrain on."""

    data: DataConfig
    """The graph, and the split of its probe."""
    weight: float = Field(default=1.0, gt=0.0)
    """Its share of an epoch."""
    evaluate: AnyEvaluation = LinearConfig()
    """How its embeddings are judged."""


class UnseenConfig(Config):
    """Episodes on the unseen graph."""

    ways: PositiveInt = 5
    """Classes in an episode."""
    shots: tuple[PositiveInt, ...] = (1, 5)
    """Examples of each class."""
    queries: PositiveInt = 20
    """Questions of each class."""
    episodes: PositiveInt = 500
    """Episodes."""


class AlignConfig(Config):
    """One encoder pretrained on several graphs, against one encoder each; and what it makes of a graph it never saw."""

    sources: tuple[SourceConfig, ...]
    """The graphs to pretrain on."""
    triples: str = "kg/codex-s"
    """Below the data root: the unseen knowledge graph, whose relations are told apart by few examples."""
    texts: str = "kg/codex"
    """Below the data root: the texts of its entities' types."""
    dim: PositiveInt = 256
    """Columns of the common feature space."""
    text_encoder: str = "hashed"
    """`hashed` words, or the name of a sentence-transformers model."""
    method: GraphMAEConfig = GraphMAEConfig(encoder=_ENCODER, alpha=2.0)
    """The base method."""
    fit: FitConfig = FitConfig(epochs=10, batch_size=128, optimizer="adamw", schedule="cosine", clip=3.0)
    """Of every encoder."""
    context: ContextConfig = ContextConfig(size=32)
    """Contexts of pretraining."""
    few_shot: UnseenConfig = UnseenConfig()
    """On the unseen graph."""
    seeds: PositiveInt = 3
    """Each trains every encoder anew."""
