"""Attention over the slab for one step: every active row's newest token, and the prompts being prefilled."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from espalier.engine.forward.bags import Bags, Lay
from espalier.engine.forward.prefill import Patch, Span, make_patches


class Step(NamedTuple):
    """The tokens of one step: first one of each of the rows 0..decoding-1, then those of `spans`, span after span.

    rows, positions [N]: of every token. longest: the highest position of the decoding ones. spans: prompt positions
    being prefilled, shortest first.
    """

    rows: Tensor
    positions: Tensor
    decoding: int
    longest: int
    spans: list[Span]


def make_step(positions: npt.NDArray[np.int64], spans: list[Span], device: torch.device) -> Step:
    """The step that computes `positions` [b] of rows 0..b-1 and, before them, `spans`."""
    decoding, longest, rows = len(positions), int(positions.max()), np.arange(len(positions))
    spans = sorted(spans, key=lambda span: span.stop - span.start)
    if spans:
        rows = np.concatenate([rows, *(np.full(span.stop - span.start, span.row) for span in spans)])
        positions = np.concatenate([positions, *(np.arange(span.start, span.stop) for span in spans)])
    return Step(torch.from_numpy(rows).to(device), torch.from_numpy(positions).to(device), decoding, longest, spans)


class StepAttention:
    """The attention plan of one step; satisfies `espalier.lm.attention.Attention`.

    All KV of a layer is written before anyone attends, so a row's newest token sees the span before it.
    """

    def __init__(self, bags: Bags, step: Step, *, scale: float) -> None:
        self.bags, self.slab, self.step, self.scale = bags, bags.slab, step, scale

    @cached_property
    def slots(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where the step's keys and values are written. Made, as the next two, when a runner first attends."""
        return self.slab.slots(self.step.rows, self.step.positions)

    @cached_property
    def decode(self) -> Lay:
        """How the rows' newest tokens attend."""
        return self.bags.lay(self.step.positions[: self.step.decoding], self.step.longest)

    @cached_property
    def patches(self) -> list[Patch]:
        """How the prompts being prefilled attend."""
        return make_patches(self.step.spans, self.step.decoding, self.slab) if self.step.spans else []

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Write k, v [N, kv_heads, head_dim]; attend with q [N, heads, head_dim] -> [N, heads, head_dim]."""
        return self.attend(layer, q * self.scale, k, v)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same for queries that are already scaled."""
        self.slab.write(layer, self.slots, k, v)
        out = self.bags.attend(layer, q[: self.step.decoding], self.decode)
        if not self.patches:
            return out
        return torch.cat([out, *(patch.attend(self.slab, layer, q) for patch in self.patches)])
