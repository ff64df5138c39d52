"""The types of tensors in GGUF files, by their numbers in ggml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of tensor: rows are cut into blocks of `elements` values, each kept in `size` bytes."""

    name: str
    elements: int
    size: int


KINDS: Mapping[int, Kind] = MappingProxyType(
    {
        0: Kind("F32", 1, 4),
        1: Kind("F16", 1, 2),
        2: Kind("Q4_0", 32, 18),
        3: Kind("Q4_1", 32, 20),
        8: Kind("Q8_0", 32, 34),
        30: Kind("BF16", 1, 2),
    }
)
"""The supported types."""

_NAMES = (
    "Q5_0=6 Q5_1=7 Q8_1=9 Q2_K=10 Q3_K=11 Q4_K=12 Q5_K=13 Q6_K=14 Q8_K=15 IQ2_XXS=16 IQ2_XS=17 IQ3_XXS=18 IQ1_S=19 "
    "IQ4_NL=20 IQ3_S=21 IQ2_S=22 IQ4_XS=23 I8=24 I16=25 I32=26 I64=27 F64=28 IQ1_M=29 TQ1_0=34 TQ2_0=35 MXFP4=39"
)
OTHERS: Mapping[int, str] = MappingProxyType(
    {int(number): name for name, number in (pair.split("=") for pair in _NAMES.split())}
)
"""Names of unsupported types, for messages."""
