"""The recipe section of an encoder. Imports without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from espalier.core.config import Config

Activation = Literal["prelu", "relu", "elu", "gelu", "none"]
Norm = Literal["none", "layer", "batch"]


class EncoderConfig(Config):
    """A stack of layers from features to embeddings."""

    kind: Literal["gat", "gcn", "gin", "sage", "mlp", "transformer"] = "gat"
    """What a layer does: attention, normalised sum, sum and MLP, mean and root, no message, attention with no edges."""
    hidden: PositiveInt = 512
    """Width of every layer's output, all heads together, unless `widths` is given."""
    layers: PositiveInt = 2
    """How many layers."""
    widths: tuple[PositiveInt, ...] = ()
    """Width of each layer, in place of `hidden` and `layers`."""
    heads: PositiveInt = 4
    """Attention heads, in every layer (gat, transformer)."""
    activation: Activation = "prelu"
    """After each layer; after the last one only where `last` says so."""
    last: bool = True
    """Whether norm and activation follow the last layer too."""
    norm: Norm = "none"
    """Before each activation."""
    residual: Literal["none", "linear", "match"] = "none"
    """Add the input to the output (gat): `linear` only where widths differ, `match` also where they are equal."""
    experts: NonNegativeInt = 0
    """Linear experts in place of the first layer's projection (gat); 0 for none. GraphAlign takes 4."""
    gate: Literal["trained", "fixed"] = "trained"
    """Of the experts: a gate that learns; or one that stays as it started, as in GraphAlign's code."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Of the features that enter a layer."""
    attention_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Of attention weights (gat, transformer)."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Output width of each layer."""
        return self.widths or (self.hidden,) * self.layers

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.kind in ("gat", "transformer") and any(size % self.heads for size in self.sizes):
            raise ValueError(f"{self.heads} heads do not divide a width of {self.sizes}: choose another `hidden`")
        return self
