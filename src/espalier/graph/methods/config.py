"""The recipe sections of all methods, selected by `name`. Imports without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from espalier.core.config import Config
from espalier.graph.methods.contrastive.config import BGRLConfig, CCAConfig, DGIConfig, GRACEConfig, MVGRLConfig
from espalier.graph.methods.generative.config import ARGVAConfig, GAEConfig, VGAEConfig
from espalier.graph.methods.masked.config import GraphMAE2Config, GraphMAEConfig, PGTConfig
from espalier.graph.nn.config import EncoderConfig


class SupervisedConfig(Config):
    """An encoder trained on the labels: the supervised baseline."""

    name: Literal["supervised"] = "supervised"
    encoder: EncoderConfig = EncoderConfig(kind="gcn", widths=(16,), activation="relu", dropout=0.5)
    """The hidden layers; one more layer of the same kind gives the logits."""


class RandomConfig(Config):
    """An untrained encoder: the baseline that shows what pretraining adds."""

    name: Literal["random"] = "random"
    encoder: EncoderConfig = EncoderConfig()
    """The encoder, at its random initialisation."""


class RawConfig(Config):
    """No encoder: the raw features."""

    name: Literal["raw"] = "raw"


class SCRConfig(Config):
    """SCR: consistency regularisation over propagated features. Source: Zhang et al., 2021."""

    name: Literal["scr"] = "scr"
    hidden: PositiveInt = 256
    """Width of every layer."""
    hops: PositiveInt = 4
    """Propagation steps K: hop features 0 to K."""
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    """In the MLPs."""
    input_dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    """Of the hop features."""
    attention_dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Of the hop weights."""
    consistency: float = Field(default=1.0, ge=0.0)
    """Weight of the consistency loss (lambda); 0 trains the same network without it."""
    distance: Literal["kl", "mse"] = "kl"
    """Distance between the student's prediction and the sharpened prediction of the teacher."""
    temperature: float = Field(default=0.5, gt=0.0)
    """Of the teacher's sharpening."""
    warm_up: float = Field(default=0.2, ge=0.0, lt=1.0)
    """Share of the training before the consistency loss starts."""
    gap: PositiveInt = 10
    """Epochs between two selections of confident nodes."""
    top: float = Field(default=0.9, ge=0.0, le=1.0)
    """Confidence needed at the start."""
    down: float = Field(default=0.7, ge=0.0, le=1.0)
    """Confidence needed at the end; it falls linearly."""
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Momentum of the mean teacher; with 0 the student is its own teacher, with different dropout."""
    label_hops: int = Field(default=0, ge=0)
    """Propagation steps of the training labels as an input; 0 leaves labels out."""


AnyMethod = Annotated[
    GraphMAEConfig
    | GraphMAE2Config
    | PGTConfig
    | DGIConfig
    | MVGRLConfig
    | GRACEConfig
    | BGRLConfig
    | CCAConfig
    | GAEConfig
    | VGAEConfig
    | ARGVAConfig
    | SCRConfig
    | SupervisedConfig
    | RandomConfig
    | RawConfig,
    Field(discriminator="name"),
]
