"""Converts between `DecoderConfig` and the config.json of Hugging Face folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from espalier.core.errors import ConfigError, nearest
from espalier.lm.config import DecoderConfig, MoEConfig
from espalier.lm.families import FAMILIES, Family
from espalier.lm.rope_config import SCALINGS

REQUIRED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "rms_norm_eps",
)
OPTIONAL = ("num_key_value_heads", "head_dim", "tie_word_embeddings", "attention_bias")
NUMBERS = ("num_key_value_heads", "head_dim", "rope_theta", "partial_rotary_factor")
ROPE = ("rope_theta", "partial_rotary_factor")
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
ADVICE = {
    "quantization_config": "quantised checkpoints are not read: convert it to float32 or bfloat16 first",
    "auto_map": "code that comes with a checkpoint is never run; remove the field if the family's own code computes"
    " the same",
}


def from_hf(values: Mapping[str, Any]) -> DecoderConfig:
    """Read the content of a config.json of transformers 4 or 5.

    Raises ConfigError, naming field and value, if it describes something that the decoder does not support, or has an
    unknown field (see `espalier.lm.families`). A field that is null is not set.
    """
    name = values.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        raise ConfigError(f"model_type {name!r} is not one of {', '.join(FAMILIES)}")
    family = FAMILIES[name]
    given = {field: value for field, value in family.absent.items() if field not in values}
    given |= {field: value for field, value in values.items() if value is not None}
    _check_known(given, name, family)
    if absent := [field for field in REQUIRED if field not in given]:
        raise ConfigError(f"{', '.join(absent)} is missing")
    for field in (*REQUIRED, *NUMBERS):
        if isinstance(given.get(field), bool | str):
            raise ConfigError(f"{field}: {given[field]!r} is not a number")
    fields: dict[str, Any] = {field: given[field] for field in (*REQUIRED, *OPTIONAL, *TOKENS) if field in given}
    fields |= {"family": name, **_rope(given, family)}
    if family.qk_norm is None:
        fields["qk_norm"] = given.get("use_qk_norm", False)
    if family.gate is not None:
        fields["moe"] = _experts(given, family)
    return DecoderConfig.of(**fields)


def to_hf(config: DecoderConfig) -> dict[str, Any]:
    """The content of a config.json that transformers 5 and vLLM read."""
    family = config.traits
    elsewhere = {"family", "moe", "qk_norm", "rope_theta", "rope_scaling", "partial_rotary_factor"}
    if family.attention_bias is not None:
        elsewhere.add("attention_bias")
    own = config.model_dump(mode="json", exclude=elsewhere)
    partial = {} if family.rotary_share == 1.0 else {"partial_rotary_factor": config.partial_rotary_factor}
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta, **partial}
    if config.rope_scaling is not None:
        rope |= config.rope_scaling.model_dump(exclude_none=True)
    experts: dict[str, Any] = {} if family.qk_norm is not None else {"use_qk_norm": config.qk_norm}
    if config.moe is not None:
        own_experts = config.moe.model_dump(exclude=set(family.expert_limits))
        experts |= {_names(field, family)[0]: value for field, value in own_experts.items()}
    return {
        "architectures": [family.architecture],
        "model_type": config.family,
        **own,
        **experts,
        **family.writes,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "rope_parameters": rope,
        # the same once more under the names that transformers 4 and others look for
        "rope_theta": config.rope_theta,
        **partial,
    }


def _names(field: str, family: Family) -> tuple[str, ...]:
    """What config.json calls a field of `MoEConfig`."""
    return family.expert_names.get(field, (field,))


def _experts(given: Mapping[str, Any], family: Family) -> dict[str, Any]:
    found = dict(family.expert_limits)
    for field in MoEConfig.model_fields:
        values = [given[name] for name in _names(field, family) if name in given and field not in found]
        if any(value != values[0] for value in values):
            raise ConfigError(f"{' and '.join(_names(field, family))} contradict each other: {values}")
        if values:
            found[field] = values[0]
    return found


def _check_known(given: Mapping[str, Any], name: str, family: Family) -> None:
    for field, value in given.items():
        if why := family.objection(field, value):
            shown = repr(value) if len(repr(value)) <= 100 else repr(value)[:100] + "..."
            advice = ADVICE.get(field, "remove it from the file if you know that it changes nothing")
            raise ConfigError(f"{field}: {shown} {why} in the {name} family; {advice}")


def _rope(given: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Base, scaling and share of the rotary embedding, gathered from the three places that files keep them in."""
    rope = _gathered(given)
    kind, scaling = rope.pop("rope_type", "default"), None
    fields: dict[str, Any] = {name: rope.pop(name) for name in ROPE if name in rope}
    if family.rotary_share != 1.0:
        fields.setdefault("partial_rotary_factor", family.rotary_share)
    if isinstance(kind, str) and kind in SCALINGS:
        known = SCALINGS[kind].model_fields
        stretch = {"original_max_position_embeddings": given["max_position_embeddings"]}
        stretch |= {name: rope.pop(name) for name in known if name in rope}
        try:
            scaling = SCALINGS[kind].of(**{name: value for name, value in stretch.items() if name in known})
        except ConfigError as error:
            raise ConfigError(f"rope_scaling or rope_parameters: {error}") from error
    elif kind != "default":
        kinds = ", ".join(map(repr, ("default", *SCALINGS)))
        raise ConfigError(f"rope type {kind!r} is not implemented, only {kinds}")
    if rope:
        odd, value = next(iter(rope.items()))
        raise ConfigError(f"the rope type {kind!r} has no field {odd!r} ({value!r}){nearest(odd, ['rope_theta'])}")
    return {**fields, "rope_scaling": scaling}


def _gathered(given: Mapping[str, Any]) -> dict[str, Any]:
    rope: dict[str, Any] = {name: given[name] for name in ROPE if name in given}
    for place in ("rope_scaling", "rope_parameters"):
        values = given.get(place, {})
        if not isinstance(values, Mapping):
            raise ConfigError(f"{place}: {values!r} is not an object")
        for key, value in values.items():
            name = "rope_type" if key == "type" else key
            if value is not None and rope.setdefault(name, value) != value:
                raise ConfigError(f"{place} says {name}={value!r}, another place of the file {rope[name]!r}")
    return rope
