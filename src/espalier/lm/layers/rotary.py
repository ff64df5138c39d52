"""Rotary position embedding (Su et al. 2021), whole or partial, in both layouts that checkpoints use."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from espalier.lm.config import DecoderConfig
from espalier.lm.layers.norm import RMSNorm
from espalier.lm.native.library import library_for
from espalier.lm.native.pointwise import Turn, norm_turn
from espalier.lm.rope_config import DynamicScaling, LinearScaling, Llama3Scaling, YarnScaling


def inverse_frequencies(config: DecoderConfig) -> Tensor:
    """[rotary_dim / 2] radians per position of each pair, fp32 on CPU."""
    exponents = torch.arange(0, config.rotary_dim, 2, dtype=torch.float32) / config.rotary_dim
    frequencies = 1.0 / config.rope_theta**exponents
    match config.rope_scaling:
        case None | DynamicScaling():
            return frequencies
        case LinearScaling(factor=factor):
            return frequencies / factor
        case YarnScaling() as scaling:
            return _yarn(frequencies, scaling, config)
        case Llama3Scaling() as scaling:
            return _llama3(frequencies, scaling)


def _llama3(frequencies: Tensor, scaling: Llama3Scaling) -> Tensor:
    """Slow waves are divided by `factor`, fast ones kept, those between interpolated (Llama 3.1's release)."""
    turns = scaling.original_max_position_embeddings * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((turns - low) / (high - low)).clamp(0.0, 1.0)
    return frequencies * (kept + (1.0 - kept) / scaling.factor)


def _yarn(frequencies: Tensor, scaling: YarnScaling, config: DecoderConfig) -> Tensor:
    """The same by the index of the frequency rather than by its turns (Peng et al. 2023, as transformers has it)."""

    def index(turns: float) -> float:
        """Of the frequency that makes so many turns within the original context."""
        context = scaling.original_max_position_embeddings / (2 * math.pi * turns)
        return config.rotary_dim * math.log(context) / (2 * math.log(config.rope_theta))

    low, high = index(scaling.beta_fast), index(scaling.beta_slow)
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, config.rotary_dim - 1)
    high += 0.001 * (low == high)
    divided = ((torch.arange(len(frequencies)) - low) / (high - low)).clamp(0.0, 1.0)
    return frequencies * (1.0 - divided + divided / scaling.factor)


class Rotation:
    """The rotations of N tokens, computed once per forward pass and applied in every layer."""

    def __init__(
        self,
        positions: Tensor,
        frequencies: Tensor,
        dtype: torch.dtype,
        *,
        interleaved: bool,
        magnitude: float = 1.0,
    ) -> None:
        angles = positions[:, None].float() * frequencies
        cos, sin = angles.cos(), angles.sin()
        if magnitude != 1.0:
            cos, sin = cos * magnitude, sin * magnitude
        self.interleaved = interleaved
        self.width = 2 * angles.shape[1]
        if interleaved:
            cos, sin = cos.repeat_interleave(2, dim=-1), torch.stack((-sin, sin), dim=-1).flatten(-2)
        else:
            cos, sin = cos.repeat(1, 2), torch.cat((-sin, sin), dim=-1)
        self.cos, self.sin = cos[:, None].to(dtype), sin[:, None].to(dtype)

    def __call__(self, x: Tensor, norm: RMSNorm | None = None) -> Tensor:
        """Rotate the first dimensions of each head of x [N, heads, head_dim], after `norm` if it is given.

        In fp32 on CPU, both are one call of a C kernel.
        """
        if library_for(x) and self.cos.dtype == x.dtype and (norm is None or norm.weight.dtype == x.dtype):
            weight, eps = (None, 0.0) if norm is None else (norm.weight, norm.epsilon)
            return norm_turn(x, weight, eps, Turn(self.cos, self.sin, self.interleaved))
        if norm is not None:
            x = norm(x)
        turned = x[..., : self.width]
        if self.interleaved:
            partner = turned.reshape(*turned.shape[:-1], -1, 2).flip(-1).flatten(-2)
        else:
            partner = turned.roll(self.width // 2, dims=-1)
        turned = turned * self.cos + partner * self.sin
        return turned if self.width == x.shape[-1] else torch.cat((turned, x[..., self.width :]), dim=-1)
