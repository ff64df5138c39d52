"""Selects the runner of a model, and its type."""

from __future__ import annotations

import torch

from espalier.core.errors import ConfigError
from espalier.core.hardware import has_bf16
from espalier.engine.forward.fused import FusedRunner, fusible
from espalier.engine.forward.packed import PackedRunner
from espalier.engine.forward.runner import DecoderRunner, Runner
from espalier.engine.kv.slab import Slab
from espalier.lm.decoder import Decoder


def runner_for(model: Decoder, slab: Slab, *, packed: bool) -> Runner:
    """The fastest runner that supports `model`; `packed`: the C kernels support it."""
    if packed:
        return PackedRunner(model, slab, "fp32" if slab.dtype == torch.float32 else "bf16")
    return FusedRunner(model, slab.max_len) if fusible(model) else DecoderRunner(model)


def engine_dtype(model: Decoder, precision: str, *, packed: bool) -> torch.dtype:
    """The type of the engine's weights and cache. Raises ConfigError if bf16 is required and not supported."""
    own = next(model.parameters())
    if precision == "fp32" or own.dtype != torch.float32:
        return own.dtype
    possible = packed and has_bf16(own.device)
    if precision == "bf16" and not possible:
        why = "the processor has no bfloat16 matrix instructions" if packed else "the C kernels do not run this model"
        raise ConfigError(f"engine.precision=bf16: {why}; use fp32 or auto")
    return torch.bfloat16 if possible else own.dtype
