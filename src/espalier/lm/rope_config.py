"""Scaling of the rotary frequencies for sequences longer than those of pretraining. Does not import torch."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from espalier.core.config import Config
from espalier.core.errors import ConfigError


class LinearScaling(Config):
    """All frequencies are divided by a factor (position interpolation, Chen et al. 2023)."""

    rope_type: Literal["linear"] = "linear"
    """Hugging Face's name of it."""
    factor: float = Field(gt=0)
    """The factor by which frequencies are divided."""


class DynamicScaling(Config):
    """NTK scaling that begins when a sequence is longer than max_position_embeddings.

    Sequences here are never longer than that, so the frequencies do not change.
    """

    rope_type: Literal["dynamic"] = "dynamic"
    """Hugging Face's name of it."""
    factor: float = Field(gt=0)
    """Only kept for other tools."""


class YarnScaling(Config):
    """YaRN (Peng et al. 2023): slow frequencies are divided, fast ones kept, queries and keys scaled up slightly."""

    rope_type: Literal["yarn"] = "yarn"
    """Hugging Face's name of it."""
    factor: float = Field(gt=0)
    """The factor by which slow frequencies are divided."""
    original_max_position_embeddings: int = Field(gt=0)
    """Context length before scaling."""
    attention_factor: float | None = Field(None, gt=0)
    """Factor of rotated queries and keys; by default 0.1 ln(factor) + 1 (the paper, equation 22)."""
    beta_fast: float = Field(32.0, gt=0)
    """Frequencies that turn more often than this within the original context are kept."""
    beta_slow: float = Field(1.0, gt=0)
    """Frequencies that turn less often than this are divided."""
    mscale: float | None = None
    """With mscale_all_dim: the default of attention_factor is the quotient of both (DeepSeek)."""
    mscale_all_dim: float | None = None
    """See mscale."""
    truncate: bool = True
    """Round the two bounds outwards to whole frequencies."""

    @property
    def magnitude(self) -> float:
        """Factor of rotated queries and keys."""
        if self.attention_factor is not None:
            return self.attention_factor

        def scale(by: float) -> float:
            return 0.1 * by * math.log(self.factor) + 1.0 if self.factor > 1 else 1.0

        if self.mscale and self.mscale_all_dim:
            return scale(self.mscale) / scale(self.mscale_all_dim)
        return scale(1.0)


class Llama3Scaling(Config):
    """Llama 3.1's scaling of the slow rotary frequencies."""

    rope_type: Literal["llama3"] = "llama3"
    """Hugging Face's name of it."""
    factor: float = Field(gt=0)
    """The factor by which slow frequencies are divided."""
    low_freq_factor: float = Field(gt=0)
    """Wavelengths above original_max_position_embeddings / low_freq_factor are scaled fully."""
    high_freq_factor: float = Field(gt=0)
    """Wavelengths below original_max_position_embeddings / high_freq_factor are kept."""
    original_max_position_embeddings: int = Field(gt=0)
    """Context length before scaling."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low_freq_factor >= self.high_freq_factor:
            raise ConfigError(
                f"low_freq_factor={self.low_freq_factor} must be below high_freq_factor={self.high_freq_factor}"
            )
        return self


RopeScaling = Annotated[LinearScaling | DynamicScaling | YarnScaling | Llama3Scaling, Field(discriminator="rope_type")]
SCALINGS: dict[str, type[LinearScaling] | type[DynamicScaling] | type[YarnScaling] | type[Llama3Scaling]] = {
    "linear": LinearScaling,
    "dynamic": DynamicScaling,
    "yarn": YarnScaling,
    "llama3": Llama3Scaling,
}
"""By rope_type."""
