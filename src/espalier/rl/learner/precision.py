"""Selects bfloat16, only if the hardware supports it natively."""

from __future__ import annotations

from typing import Literal

import torch

from espalier.core.errors import ConfigError
from espalier.core.hardware import has_bf16


def autocast(precision: Literal["fp32", "bf16", "auto"], device: torch.device) -> torch.autocast:
    """The autocast context of forward passes. Raises ConfigError if bf16 is required and the hardware does not support
    it.
    """
    native = precision != "fp32" and has_bf16(device)
    if precision == "bf16" and not native:
        raise ConfigError(f"learner.precision=bf16: this {device.type} has no bfloat16 matmul; use fp32 or auto")
    return torch.autocast(device.type, torch.bfloat16, enabled=native)
