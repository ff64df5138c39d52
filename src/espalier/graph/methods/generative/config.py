"""Recipe sections of the generative methods. Imports without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt

from espalier.core.config import Config
from espalier.graph.nn.config import EncoderConfig

_SMALL = EncoderConfig(kind="gcn", widths=(32,), activation="relu")


class GAEConfig(Config):
    """GAE: the adjacency from inner products. Source: Kipf and Welling, 2016."""

    name: Literal["gae"] = "gae"
    encoder: EncoderConfig = _SMALL
    """The hidden layers."""
    code: PositiveInt = 16
    """Width of the code."""
    pairs: PositiveInt = 2_000_000
    """Largest number of node pairs in the loss; a larger graph samples as many non-edges as it has edges."""


class VGAEConfig(GAEConfig):
    """VGAE: GAE with a Gaussian code. Source: Kipf and Welling, 2016."""

    name: Literal["vgae"] = "vgae"  # type: ignore[assignment]


class ARGVAConfig(GAEConfig):
    """ARGVA: VGAE whose codes a discriminator cannot tell from a unit Gaussian. Source: Pan et al., IJCAI 2018."""

    name: Literal["argva"] = "argva"  # type: ignore[assignment]
    discriminator: tuple[PositiveInt, PositiveInt] = (16, 64)
    """Widths inside the discriminator."""
    adversary: NonNegativeFloat = 1.0
    """Weight of the adversarial term in the encoder's loss."""
