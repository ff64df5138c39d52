"""Recipe sections of the contrastive methods. Imports without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from espalier.core.config import Config
from espalier.graph.nn.config import EncoderConfig

Pair = tuple[float, float]


class DGIConfig(Config):
    """DGI: nodes against the graph's summary. Source: Veličković et al., ICLR 2019."""

    name: Literal["dgi"] = "dgi"
    encoder: EncoderConfig = EncoderConfig(kind="gcn", layers=1)
    """The encoder, kept after pretraining."""


class MVGRLConfig(Config):
    """MVGRL: nodes of one view against the summary of the other view. Source: Hassani and Khasahmadi, ICML 2020."""

    name: Literal["mvgrl"] = "mvgrl"
    hidden: PositiveInt = 512
    """Width of both encoders, which have one GCN layer each."""
    teleport: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Teleport probability of the personalised PageRank that gives the second view."""
    neighbours: PositiveInt = 128
    """Number of largest entries kept in each row of the diffusion matrix; the exact one is dense."""
    tolerance: PositiveFloat = 1e-5
    """Residual per degree below which PageRank's push stops."""
    sample: PositiveInt = 4000
    """Number of nodes in one contrast; larger graphs are sampled."""
    samples: PositiveInt = 4
    """Samples per step, if the graph is larger than one sample."""


class GRACEConfig(Config):
    """GRACE: a node in one view against all nodes of both views. Source: Zhu et al., 2020."""

    name: Literal["grace"] = "grace"
    encoder: EncoderConfig = EncoderConfig(kind="gcn", widths=(256, 128), activation="relu")
    """The encoder, kept after pretraining."""
    projection: PositiveInt = 128
    """Width inside the projection head."""
    tau: PositiveFloat = 0.4
    """Temperature of the similarities."""
    drop_edges: Pair = (0.2, 0.4)
    """Share of edges dropped in each view."""
    drop_features: Pair = (0.3, 0.4)
    """Share of feature columns zeroed in each view."""
    block: PositiveInt = 4096
    """Rows of the similarity matrix computed at a time; larger graphs are computed in blocks."""


class BGRLConfig(Config):
    """BGRL: predict a slowly updated teacher's embeddings, without negatives. Source: Thakoor et al., ICLR 2022."""

    name: Literal["bgrl"] = "bgrl"
    encoder: EncoderConfig = EncoderConfig(kind="gcn", widths=(512, 256), norm="batch")
    """The online encoder, kept after pretraining."""
    predictor: PositiveInt = 512
    """Width inside the predictor."""
    momentum: float = Field(default=0.99, ge=0.0, le=1.0)
    """Momentum of the teacher at the start; it rises to 1 by a cosine schedule."""
    drop_edges: Pair = (0.2, 0.1)
    """Share of edges dropped in each view."""
    drop_features: Pair = (0.2, 0.1)
    """Share of feature columns zeroed in each view."""


class CCAConfig(Config):
    """CCA-SSG: views agree, dimensions are decorrelated. Source: Zhang et al., NeurIPS 2021."""

    name: Literal["cca_ssg"] = "cca_ssg"
    encoder: EncoderConfig = EncoderConfig(kind="gcn", activation="relu")
    """The encoder, kept after pretraining; its last layer has no activation."""
    decorrelation: NonNegativeFloat = 1e-3
    """Weight of the decorrelation term (lambda)."""
    drop_edges: float = Field(default=0.4, ge=0.0, lt=1.0)
    """Share of edges dropped in each view."""
    drop_features: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of feature columns zeroed in each view."""
