"""What layers share: activations and norms by name."""

from __future__ import annotations

from torch import nn

from espalier.graph.nn.config import Activation, Norm
from espalier.graph.ops.prelu import PReLU


def activation(name: Activation) -> nn.Module:
    """A fresh module; PReLU has one slope for all channels."""
    modules = {"prelu": PReLU, "relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU, "none": nn.Identity}
    return modules[name]()


def norm(name: Norm, width: int) -> nn.Module:
    """A fresh module over `width` channels."""
    modules = {"none": lambda _: nn.Identity(), "layer": nn.LayerNorm, "batch": nn.BatchNorm1d}
    return modules[name](width)
