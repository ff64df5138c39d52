"""Converts the bytes of a tensor to float32, by the block formats of ggml (ggml-quants.c)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from espalier.lm.gguf.kinds import Kind

Raw = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
CHUNK = 1 << 17
"""Number of bytes decoded at a time, so that intermediate values need little memory."""


def dequantise(rows: Raw, kind: Kind) -> Floats:
    """Values [rows, elements] of a tensor's bytes [rows, bytes of a row]."""
    decode, size = DECODERS[kind.name], rows.shape[-1]
    out = np.empty((len(rows), size // kind.size * kind.elements), np.float32)
    step = max(CHUNK // size, 1)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        out[start : start + step] = decode(part.reshape(-1, kind.size)).reshape(len(part), -1)
    return out


def _half(blocks: Raw, place: int) -> Floats:
    """[blocks, 1] the 16-bit float at a byte of each block."""
    return np.ascontiguousarray(blocks[:, place : place + 2]).view("<f2").astype(np.float32)


def _nibbles(blocks: Raw) -> npt.NDArray[np.uint8]:
    """[blocks, 32] from 16 bytes: the low halves are the first 16 values, the high halves the others."""
    return np.concatenate((blocks & 15, blocks >> 4), axis=1)


def _q4_0(blocks: Raw) -> Floats:
    """d (q - 8): half d, then 16 bytes of q."""
    return _half(blocks, 0) * (_nibbles(blocks[:, 2:]).astype(np.float32) - 8)


def _q4_1(blocks: Raw) -> Floats:
    """d q + m: halves d and m, then 16 bytes of q."""
    return _half(blocks, 0) * _nibbles(blocks[:, 4:]) + _half(blocks, 2)


def _q8_0(blocks: Raw) -> Floats:
    """d q: half d, then 32 signed bytes of q."""
    return _half(blocks, 0) * blocks[:, 2:].view(np.int8)


def _bf16(blocks: Raw) -> Floats:
    """The upper half of a float32."""
    return (np.ascontiguousarray(blocks).view("<u2").astype("<u4") << 16).view("<f4")


DECODERS: Mapping[str, Callable[[Raw], Floats]] = MappingProxyType(
    {
        "F32": lambda blocks: np.ascontiguousarray(blocks).view("<f4"),
        "F16": lambda blocks: _half(blocks, 0),
        "BF16": _bf16,
        "Q4_0": _q4_0,
        "Q4_1": _q4_1,
        "Q8_0": _q8_0,
    }
)
"""From blocks [N, bytes of a block] to values [N, elements of a block], by type."""
