"""Converts between the names of experts in memory (stacked) and in checkpoints (separate)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

_SEPARATE = re.compile(r"(.*\.mlp\.experts)\.(\d+)\.(gate|up|down)_proj\.weight")


def split(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The checkpoint's tensors of one in memory: itself, or a matrix of each expert."""
    prefix, _, last = name.rpartition(".")
    if not prefix.endswith(".mlp.experts"):
        yield name, tensor
        return
    parts = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}[last]
    for e, matrix in enumerate(tensor):
        for part, piece in zip(parts, matrix.chunk(len(parts)), strict=True):
            yield f"{prefix}.{e}.{part}.weight", piece


def separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors of a checkpoint, from those in memory."""
    return {name: part for whole in tensors.items() for name, part in split(*whole)}


def place(name: str, own: dict[str, Tensor]) -> tuple[str, Tensor] | None:
    """Where a checkpoint's tensor goes: the name in memory, and the part of it to fill; None if there is no such place.

    Stacked experts in a checkpoint are found by their own names.
    """
    if name in own:
        return name, own[name]
    match = _SEPARATE.fullmatch(name)
    if match is None:
        return None
    prefix, e, part = match[1], int(match[2]), match[3]
    stacked = f"{prefix}.{'down_proj' if part == 'down' else 'gate_up_proj'}"
    if stacked not in own or e >= len(own[stacked]):
        return None
    matrix = own[stacked][e]
    if part == "down":
        return stacked, matrix
    return stacked, matrix.chunk(2)[part == "up"]
