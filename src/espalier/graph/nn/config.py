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
    """Type of the layers: graph attention (gat), graph convolution (gcn), graph isomorphism (gin), GraphSAGE (sage), no
    neighbours (mlp), or dot-product attention along edges (transformer)."""
    hidden: PositiveInt = 512
    """Width of every layer's output, all heads together, unless `widths` is given."""
    layers: PositiveInt = 2
    """Number of layers."""
    widths: tuple[PositiveInt, ...] = ()
    """Width of each layer, instead of `hidden` and `layers`."""
    heads: PositiveInt = 4
    """Attention heads, in every layer (gat, transformer)."""
    activation: Activation = "prelu"
    """Activation after each layer; after the last layer only with `last`."""
    last: bool = True
    """Whether norm and activation are also applied after the last layer."""
    norm: Norm = "none"
    """Before each activation."""
    residual: Literal["none", "linear", "match"] = "none"
    """Residual connection (gat): `linear` projects only if widths differ, `match` also if they are equal."""
    experts: NonNegativeInt = 0
    """Number of linear experts that replace the first layer's projection (gat); 0 for none. GraphAlign uses 4."""
    gate: Literal["trained", "fixed"] = "trained"
    """Gate of the experts: `trained`, or `fixed` at its initialisation, as in GraphAlign's code."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of the input features of a layer."""
    attention_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of attention weights (gat, transformer)."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Output width of each layer."""
        return self.widths or (self.hidden,) * self.layers

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.kind in ("gat", "transformer") and any(size % self.heads for size in self.sizes):
            raise ValueError(f"{self.heads} heads do not divide a width of {self.sizes}: choose another `hidden`")
        return self
