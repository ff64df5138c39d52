"""How embeddings are judged. Imports without torch."""

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
    """Steps."""
    select: Literal["early", "final"] = "early"
    """The headline: test accuracy at the best validation accuracy, or after the last epoch. Both are recorded."""


class LogisticConfig(Config):
    """Logistic regression on normalised embeddings, C chosen on validation: Amazon and Coauthor."""

    kind: Literal["logistic"] = "logistic"


class SVMConfig(Config):
    """A support vector machine on pooled embeddings over ten folds: graph classification."""

    kind: Literal["svm"] = "svm"
    pooling: Literal["mean", "max", "sum"] = "mean"
    """How node embeddings become one of the graph."""


class LinkConfig(Config):
    """Link prediction: 85/5/10% of the edges; the encoder sees the training edges only."""

    kind: Literal["links"] = "links"


class OwnConfig(Config):
    """The method's own classifier (supervised, scr), at its best validation accuracy."""

    kind: Literal["own"] = "own"


class KNNConfig(Config):
    """A vote among the nearest training nodes by cosine. Nothing is trained."""

    kind: Literal["knn"] = "knn"
    k: PositiveInt = 5
    """How many vote."""


class ClusterConfig(Config):
    """k-means with as many clusters as classes. The headline is the normalised mutual information with the labels."""

    kind: Literal["clusters"] = "clusters"


class FewShotConfig(Config):
    """Classification by the nearest mean of a few examples. Nothing is trained. Source: GraphAlign, section 5."""

    kind: Literal["few_shot"] = "few_shot"
    ways: PositiveInt = 5
    """Classes of an episode."""
    shots: PositiveInt = 5
    """Examples of each class."""
    queries: PositiveInt = 20
    """Questions of each class."""
    episodes: PositiveInt = 500
    """Episodes."""


AnyEvaluation = Annotated[
    LinearConfig | LogisticConfig | SVMConfig | LinkConfig | KNNConfig | ClusterConfig | FewShotConfig | OwnConfig,
    Field(discriminator="kind"),
]
