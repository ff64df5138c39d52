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
    """How its embeddings are evaluated."""


class UnseenConfig(Config):
    """Few-shot episodes on the unseen graph."""

    ways: PositiveInt = 5
    """Number of classes per episode."""
    shots: tuple[PositiveInt, ...] = (1, 5)
    """Number of examples per class."""
    queries: PositiveInt = 20
    """Number of queries per class."""
    episodes: PositiveInt = 500
    """Number of episodes."""


class AlignConfig(Config):
    """One encoder pretrained on several graphs, compared with one encoder per graph; and its few-shot accuracy on an
    unseen graph.
    """

    sources: tuple[SourceConfig, ...]
    """The graphs to pretrain on."""
    triples: str = "kg/codex-s"
    """The unseen knowledge graph, below the data root. Its relations are classified from few examples."""
    texts: str = "kg/codex"
    """The texts of its entities' types, below the data root."""
    dim: PositiveInt = 256
    """Width of the common feature space."""
    text_encoder: str = "hashed"
    """`hashed` words, or the name of a sentence-transformers model."""
    method: GraphMAEConfig = GraphMAEConfig(encoder=_ENCODER, alpha=2.0)
    """The base method."""
    fit: FitConfig = FitConfig(epochs=10, batch_size=128, optimizer="adamw", schedule="cosine", clip=3.0)
    """Training settings of every encoder."""
    context: ContextConfig = ContextConfig(size=32)
    """Contexts for pretraining."""
    few_shot: UnseenConfig = UnseenConfig()
    """Few-shot evaluation on the unseen graph."""
    seeds: PositiveInt = 3
    """Number of seeds; each trains every encoder again."""
