"""Selects the masked nodes, and what the encoder gets instead of their features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Mask(NamedTuple):
    """masked: (m,) nodes to reconstruct. kept: (N - m,) the others. hidden: those of `masked` that get the mask token.
    shows: (N,) index of the node whose features each node gets, None if each node gets its own. All int64.
    """

    masked: Tensor
    kept: Tensor
    hidden: Tensor
    shows: Tensor | None


def draw_mask(n: int, rate: float, replace: float = 0.0, device: torch.device | str = "cpu") -> Mask:
    """floor(rate n) nodes at random. Of those, floor(replace m) get another node's features, drawn uniformly, and
    floor((1 - replace) m) get the mask token; rounding may leave one unchanged. Source: GraphMAE, section 3.
    """
    order = torch.randperm(n, device=device)
    masked, kept = order[: int(rate * n)], order[int(rate * n) :]
    noise = int(replace * masked.numel())
    if noise == 0:
        return Mask(masked, kept, masked if replace == 0 else masked[: int((1 - replace) * masked.numel())], None)
    shuffled = masked[torch.randperm(masked.numel(), device=device)]
    shows = torch.arange(n, device=device)
    shows[shuffled[-noise:]] = torch.randperm(n, device=device)[:noise]
    return Mask(masked, kept, shuffled[: int((1 - replace) * masked.numel())], shows)
