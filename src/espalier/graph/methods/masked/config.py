"""Recipe sections of the masked auto-encoders. Imports without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from espalier.core.config import Config
from espalier.graph.nn.config import EncoderConfig

Decoder = Literal["gat", "gcn", "gin", "mlp", "linear"]


class GraphMAEConfig(Config):
    """GraphMAE: reconstruct the features of masked nodes. Source: Hou et al., KDD 2022."""

    name: Literal["graphmae"] = "graphmae"
    encoder: EncoderConfig = EncoderConfig(dropout=0.2, attention_dropout=0.1)
    """The encoder, kept after pretraining."""
    decoder: Decoder = "gat"
    """Type of the one-layer decoder from codes to features; `gin` for graph-level tasks. Before `mlp` and `linear`,
    codes are not re-masked."""
    mask_rate: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Share of nodes whose features are hidden."""
    replace_rate: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the masked nodes that get another node's features instead of the mask token."""
    drop_edge: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of edges that are dropped for the encoder."""
    alpha: float = Field(default=3.0, ge=1.0)
    """Exponent of the scaled cosine error."""
    criterion: Literal["sce", "mse"] = "sce"
    """The scaled cosine error, or the squared error (an ablation)."""
    remask: bool = True
    """Whether the decoder's input is masked too; false is an ablation."""


class GraphMAE2Config(Config):
    """GraphMAE2: several re-masked decodings, and latent targets from a teacher. Source: Hou et al., WWW 2023."""

    name: Literal["graphmae2"] = "graphmae2"
    encoder: EncoderConfig = EncoderConfig(hidden=1024, heads=8, dropout=0.2, attention_dropout=0.1)
    """The encoder, kept after pretraining."""
    mask_rate: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Share of nodes whose features are hidden."""
    drop_edge: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of edges hidden in each of the two views."""
    alpha: float = Field(default=3.0, ge=1.0)
    """Exponent of the scaled cosine error."""
    remask: Literal["fixed", "random"] = "random"
    """`fixed` re-masks the masked nodes once, as GraphMAE; `random` re-masks `remask_rate` of all nodes, `views`
    times."""
    remask_rate: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Share of nodes that are masked for the decoder in each random view."""
    views: PositiveInt = 3
    """Random views to decode."""
    latent: NonNegativeFloat = 1.0
    """Weight of the latent loss (lambda)."""
    momentum: float = Field(default=0.996, ge=0.0, le=1.0)
    """Momentum of the teacher per step: with 0 it equals the student, with 1 it never changes."""
    delay: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of the training after which the teacher starts to be updated."""
    projection: PositiveInt = 256
    """Width inside the projector."""
    tokens: Literal["zeros", "xavier"] = "xavier"
    """Initialisation of the learned tokens: zeros on small graphs, Xavier-normal on large ones."""


class PGTConfig(Config):
    """PGT-style graph transformer over PageRank contexts. After arXiv 2407.03953, of which no code is public: the tasks
    follow the paper, the details are ours.
    """

    name: Literal["pgt"] = "pgt"
    hidden: PositiveInt = 256
    """Width of the transformer."""
    layers: PositiveInt = 2
    """Encoder layers."""
    decoder_layers: PositiveInt = 1
    """Decoder layers."""
    heads: PositiveInt = 4
    """Attention heads."""
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """After attention and MLP."""
    mask_rate: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Share of a context's nodes that are masked for the encoder."""
    alpha: float = Field(default=2.0, ge=1.0)
    """Exponent of the scaled cosine error."""
    structure: NonNegativeFloat = 0.1
    """Weight of the structure loss (lambda)."""
    tau: PositiveFloat = 0.2
    """Temperature of the structure loss."""
    position: Literal["ppr", "rank", "none"] = "ppr"
    """How the transformer encodes a node's position: a log-PageRank bias on attention, a rank embedding, or none."""
    neighbours: bool = True
    """Whether attention between neighbours has a learned bias. Without it, all masked nodes of a context look the
    same."""
    reuse_decoder: bool = True
    """Whether embeddings use the mean of the features and the decoder's reconstruction, instead of the features."""
    max_context: PositiveInt = 256
    """Largest context; the size of the rank embedding."""
