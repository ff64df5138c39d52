"""Shared parts of layers: activations and norms by name."""

from __future__ import annotations

from torch import nn

from espalier.graph.nn.config import Activation, Norm
from espalier.graph.ops.prelu import PReLU


def activation(name: Activation) -> nn.Module:
    """A fresh module; PReLU has one slope for all channels."""
    modules: dict[Activation, type[nn.Module]]
    modules = {"prelu": PReLU, "relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU, "none": nn.Identity}
    return modules[name]()


def norm(name: Norm, width: int) -> nn.Module:
    """A fresh module over `width` channels."""
    if name == "none":
        return nn.Identity()
    return nn.LayerNorm(width) if name == "layer" else nn.BatchNorm1d(width)
