"""The shape of a decoder, and the recipe's `model:` section. Does not import torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.lm.families import FAMILIES, Family, FamilyName
from espalier.lm.rope_config import RopeScaling, YarnScaling

DEEPEST = 1024
"""Largest number of layers. No published decoder comes near it, and each layer takes memory, whatever its width."""


class MoEConfig(Config):
    """A mixture of experts: every token goes to the shared experts, and to a few of the routed ones.

    Field names are Hugging Face's for Glm4Moe.
    """

    n_routed_experts: int = Field(gt=0)
    """Routed experts in a layer."""
    num_experts_per_tok: int = Field(gt=0)
    """Number of routed experts per token."""
    moe_intermediate_size: int = Field(gt=0)
    """Inner width of one expert."""
    n_shared_experts: int = Field(1, ge=0)
    """Number of experts that every token goes to, stored as one MLP of their joint width; none in qwen3_moe."""
    first_k_dense_replace: int = Field(1, ge=0)
    """Number of first layers that have a dense MLP instead of experts."""
    n_group: int = Field(1, gt=0)
    """Groups that the routed experts are divided into."""
    topk_group: int = Field(1, gt=0)
    """Number of groups from which the experts of a token are chosen."""
    norm_topk_prob: bool = True
    """Normalise the gate weights of a token's experts to sum to one."""
    routed_scaling_factor: float = 1.0
    """Multiplies the gate weights."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        group, rest = divmod(self.n_routed_experts, self.n_group)
        if rest or (self.n_group > 1 and group < 2):
            raise ConfigError(
                f"n_routed_experts={self.n_routed_experts} experts do not divide into n_group={self.n_group} groups "
                "of two or more"
            )
        if self.topk_group > self.n_group or self.num_experts_per_tok > group * self.topk_group:
            raise ConfigError(
                f"num_experts_per_tok={self.num_experts_per_tok} experts do not fit in topk_group={self.topk_group} "
                f"of n_group={self.n_group} groups of {group}"
            )
        return self


class DecoderConfig(Config):
    """A decoder's shape, in the field names of Hugging Face's config.json."""

    family: FamilyName
    """Architecture; Hugging Face's model_type."""
    vocab_size: int = Field(gt=0)
    """Rows of the embedding."""
    hidden_size: int = Field(gt=0)
    """Width of the residual stream."""
    intermediate_size: int = Field(gt=0)
    """Inner width of a dense MLP."""
    num_hidden_layers: int = Field(gt=0, le=DEEPEST)
    """Decoder layers."""
    num_attention_heads: int = Field(gt=0)
    """Query heads."""
    num_key_value_heads: int = Field(gt=0)
    """Key and value heads; by default as many as query heads."""
    head_dim: int = Field(gt=0)
    """Width of a head; by default hidden_size / num_attention_heads."""
    max_position_embeddings: int = Field(4096, gt=0)
    """Longest sequence."""
    rope_theta: float = Field(10000.0, gt=0)
    """Base of the rotary frequencies."""
    rope_scaling: RopeScaling | None = None
    """Scaling of the rotary frequencies for sequences longer than those of pretraining."""
    partial_rotary_factor: float = Field(gt=0, le=1)
    """Share of each head that is rotated; by default 0.5 in the GLM families, 1 in the others."""
    rms_norm_eps: float = Field(1e-6, gt=0)
    """Added to the mean square in every norm."""
    tie_word_embeddings: bool = False
    """Use the embedding as output head."""
    attention_bias: bool = False
    """Biases on the query, key and value projections (in llama, qwen3 and qwen3_moe on the output projection too)."""
    qk_norm: bool
    """Norms over each query and key head: fixed by the family, a choice in glm4_moe."""
    moe: MoEConfig | None = None
    """Experts of the families glm4_moe and qwen3_moe."""
    bos_token_id: int | None = None
    """Written to config.json for other tools."""
    eos_token_id: int | tuple[int, ...] | None = None
    """Written to config.json: transformers' generate stops there."""
    pad_token_id: int | None = None
    """Written to config.json for other tools."""

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        given = {name: value for name, value in values.items() if value is not None}
        heads, hidden, family = given.get("num_attention_heads"), given.get("hidden_size"), given.get("family")
        derived: dict[str, Any] = {}
        if isinstance(family, str) and family in FAMILIES:
            traits = FAMILIES[family]
            derived = {"qk_norm": bool(traits.qk_norm), "partial_rotary_factor": traits.rotary_share}
            if traits.attention_bias is not None:
                derived["attention_bias"] = traits.attention_bias
        if isinstance(heads, int) and isinstance(hidden, int) and heads > 0:
            derived |= {"num_key_value_heads": heads, "head_dim": hidden // heads}
        return derived | given

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ConfigError(
                f"num_attention_heads={self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads={self.num_key_value_heads}"
            )
        if self.rotary_dim % 2 or not self.rotary_dim:
            raise ConfigError(
                f"head_dim={self.head_dim} x partial_rotary_factor={self.partial_rotary_factor} must be even: "
                "rotary embedding rotates pairs"
            )
        family = self.traits
        if family.rotary_share == 1.0 != self.partial_rotary_factor:
            raise ConfigError(f"the {self.family} family rotates whole heads: leave partial_rotary_factor at 1")
        if family.qk_norm not in (None, self.qk_norm):
            raise ConfigError(f"qk_norm={self.qk_norm} does not exist in the {self.family} family: leave it out")
        if family.attention_bias not in (None, self.attention_bias):
            raise ConfigError(
                f"attention_bias={self.attention_bias} does not exist in the {self.family} family: leave it out"
            )
        if (self.moe is not None) != (family.gate is not None):
            raise ConfigError("the families glm4_moe and qwen3_moe need a `moe` section, and the others have none")
        if self.moe is not None:
            self._check_experts(self.moe)
        return self

    def _check_experts(self, moe: MoEConfig) -> None:
        for field, value in self.traits.expert_limits.items():
            if getattr(moe, field) != value:
                raise ConfigError(f"moe.{field} does not exist in the {self.family} family: {value} is its only value")

    @property
    def rotary_dim(self) -> int:
        """Rotated dimensions at the start of each head."""
        return int(self.head_dim * self.partial_rotary_factor)

    @property
    def magnitude(self) -> float:
        """Factor of rotated queries and keys: 1 except for YaRN."""
        return self.rope_scaling.magnitude if isinstance(self.rope_scaling, YarnScaling) else 1.0

    @property
    def traits(self) -> Family:
        """The properties of the family."""
        return FAMILIES[self.family]

    @property
    def output_bias(self) -> bool:
        """Whether attention's output projection has a bias."""
        return self.attention_bias and self.traits.output_bias

    def sparse(self, layer: int) -> bool:
        """Whether the layer's MLP is a mixture of experts."""
        return self.moe is not None and layer >= self.moe.first_k_dense_replace


class LoraConfig(Config):
    """Low-rank adapters (Hu et al. 2021): W x + (alpha / rank) B A x, where only A and B are trained."""

    rank: int = Field(8, gt=0)
    """Rows of A."""
    alpha: float = Field(16.0, gt=0)
    """The adapter is scaled by alpha / rank."""
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "gate_up_proj",
        "down_proj",
    )
    """Last names of the linear layers to adapt. Names that a family does not have are skipped."""


class TokenizerConfig(Config):
    """The tokenizer."""

    kind: Literal["char", "bpe", "file"] = "char"
    """char: one token per character of the task's texts. bpe: trained on them. file: read from `path`."""
    alphabet: str | None = None
    """char: the characters; by default printable ASCII and those of the task's texts."""
    vocab_size: int = Field(2048, gt=0)
    """bpe: size of the vocabulary, special tokens included."""
    path: Path | None = None
    """file: a tokenizer.json, or a folder with one."""


class ModelConfig(Config):
    """The model to train: a checkpoint (`pretrained`) or a tiny model from a preset with random weights."""

    pretrained: str | None = None
    """A Hugging Face folder, a GGUF file, a model that `espalier data list` shows, or organisation/name on the Hugging
    Face hub. If it is set, preset, decoder and tokenizer are ignored."""
    preset: Literal["tiny", "small", "moe-tiny"] = "tiny"
    """Shape of the model when there is no `pretrained`."""
    decoder: dict[str, Any] = Field(default_factory=dict)
    """Fields of the preset's decoder to override, such as `hidden_size: 256`."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """The tokenizer, when there is no `pretrained`."""
    renderer: Literal["plain", "glm", "template"] | None = None
    """How messages become tokens. By default as recorded in the folder, else template if the model has one, else
    plain."""
    thinking: bool | None = None
    """Whether the assistant has a thinking block (glm, template). By default as recorded in the folder, else no."""
    lora: LoraConfig | None = None
    """Train adapters instead of the weights."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights. Jobs train float32, or float32 adapters (lora) on float32 or bfloat16."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if available."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.decoder:
            if name not in DecoderConfig.model_fields:
                near = difflib.get_close_matches(name, DecoderConfig.model_fields, n=1)
                raise ConfigError(
                    f"model.decoder.{name} does not exist" + (f": did you mean {near[0]}?" if near else "")
                )
        if self.pretrained is None:
            self._check_tokenizer()
        return self

    def _check_tokenizer(self) -> None:
        kind = self.tokenizer.kind
        if kind == "file" and self.tokenizer.path is None:
            raise ConfigError("model.tokenizer.kind=file needs model.tokenizer.path")
        if self.renderer == "glm" and kind == "char":
            raise ConfigError("model.renderer=glm has too many markers for single characters: tokenizer.kind=bpe")
        if self.renderer == "template" and kind != "file":
            raise ConfigError("model.renderer=template needs a chat template: set model.pretrained or tokenizer.path")
