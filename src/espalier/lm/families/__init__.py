"""The model families, one file each: their differences, and the known fields of Hugging Face's config.json."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from espalier.lm.families.family import Family
from espalier.lm.families.glm4 import GLM4
from espalier.lm.families.glm4_moe import GLM4_MOE
from espalier.lm.families.llama import LLAMA
from espalier.lm.families.mistral import MISTRAL
from espalier.lm.families.qwen2 import QWEN2
from espalier.lm.families.qwen3 import QWEN3
from espalier.lm.families.qwen3_moe import QWEN3_MOE

FamilyName = Literal["llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "glm4", "glm4_moe"]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "llama": LLAMA,
        "mistral": MISTRAL,
        "qwen2": QWEN2,
        "qwen3": QWEN3,
        "qwen3_moe": QWEN3_MOE,
        "glm4": GLM4,
        "glm4_moe": GLM4_MOE,
    }
)
"""By Hugging Face's model_type."""

__all__ = ["FAMILIES", "Family", "FamilyName"]
