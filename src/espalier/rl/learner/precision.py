"""Where bfloat16 pays: only where the hardware multiplies it."""

from __future__ import annotations

from typing import Literal

import torch

from espalier.core.errors import ConfigError


def has_bf16(device: torch.device) -> bool:
    """Whether `device` has bfloat16 matrix instructions, rather than an emulation."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))
    return False


def autocast(precision: Literal["fp32", "bf16", "auto"], device: torch.device) -> torch.autocast:
    """The context to run forward passes in. Raises ConfigError where bf16 is demanded and the hardware lacks it."""
    native = precision != "fp32" and has_bf16(device)
    if precision == "bf16" and not native:
        raise ConfigError(f"learner.precision=bf16: this {device.type} has no bfloat16 matmul; use fp32 or auto")
    return torch.autocast(device.type, torch.bfloat16, enabled=native)
