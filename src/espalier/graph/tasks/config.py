"""Config of the evaluation of embeddings. Imports without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from espalier.core.config import Config


class LinearConfig(Config):
    """One linear layer trained by Adam: the probe of the citation graphs."""

    kind: Literal["linear"] = "linear"
    lr: PositiveFloat = 0.01
    """Learning rate."""
    weight_decay: NonNegativeFloat = 1e-4
    """L2 penalty."""
    epochs: PositiveInt = 300
    """Number of steps."""
    select: Literal["early", "final"] = "early"
    """The main score: test accuracy at the best validation accuracy, or after the last epoch. Both are recorded."""


class LogisticConfig(Config):
    """Logistic regression on normalised embeddings, C chosen on the validation set: for Amazon and Coauthor."""

    kind: Literal["logistic"] = "logistic"


class SVMConfig(Config):
    """A support vector machine on pooled embeddings, ten-fold cross-validation: for graph classification."""

    kind: Literal["svm"] = "svm"
    pooling: Literal["mean", "max", "sum"] = "mean"
    """How node embeddings are pooled to one embedding of the graph."""


class LinkConfig(Config):
    """Link prediction: 85/5/10% of the edges; the encoder gets only the training edges."""

    kind: Literal["links"] = "links"


class OwnConfig(Config):
    """The method's own classifier (supervised, scr), at its best validation accuracy."""

    kind: Literal["own"] = "own"


class KNNConfig(Config):
    """k-nearest neighbours among the training nodes, by cosine. Nothing is trained."""

    kind: Literal["knn"] = "knn"
    k: PositiveInt = 5
    """Number of neighbours."""


class ClusterConfig(Config):
    """k-means with as many clusters as classes. The main score is the normalised mutual information with the labels."""

    kind: Literal["clusters"] = "clusters"


class FewShotConfig(Config):
    """Classification by the nearest class mean of a few examples. Nothing is trained. Source: GraphAlign, section 5."""

    kind: Literal["few_shot"] = "few_shot"
    ways: PositiveInt = 5
    """Number of classes per episode."""
    shots: PositiveInt = 5
    """Number of examples per class."""
    queries: PositiveInt = 20
    """Number of queries per class."""
    episodes: PositiveInt = 500
    """Number of episodes."""


AnyEvaluation = Annotated[
    LinearConfig | LogisticConfig | SVMConfig | LinkConfig | KNNConfig | ClusterConfig | FewShotConfig | OwnConfig,
    Field(discriminator="kind"),
]
