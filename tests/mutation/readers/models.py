"""Models, adapters and heads."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import reference as plainly
import torch
from mutators import BINARY, NEUTRAL_TEXT, OTHER_TEXT, bad_byte, cut, value_of
from oracle import Open, Reader

from espalier.lm.checkpoint.files import load_config, load_model, save_model
from espalier.lm.checkpoint.generation import load_generation, save_generation
from espalier.lm.checkpoint.hf_config import to_hf
from espalier.lm.config import DecoderConfig, LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.heads import ValueHead
from espalier.lm.lora import inject, load_adapters, save_adapters

SHAPE = {
    "family": "llama",
    "vocab_size": 12,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}
READ = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "rms_norm_eps",
)


@cache
def _config() -> DecoderConfig:
    return DecoderConfig.of(**SHAPE)


def _model() -> Decoder:
    torch.manual_seed(0)
    model = Decoder(_config())
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def _saved(name: str) -> Any:
    def make(folder: Path) -> Path:
        save_model(_model(), folder)
        if name.endswith(".index.json"):
            weights = plainly.safetensors(folder / "model.safetensors")
            (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
            (folder / name).write_text(
                json.dumps(
                    {"metadata": {}, "weight_map": dict.fromkeys(weights, "model-00001-of-00001.safetensors")}, indent=1
                )
            )
        return folder / name

    return make


def _configured(file: Path) -> Any:
    found = load_config(file.parent)
    return {name: getattr(found, name) for name in READ}


def _config_reference(file: Path) -> Any:
    found = plainly.value(plainly.text(file))
    sound = json.loads(json.dumps({**to_hf(_config()), "dtype": "float32"}))
    if any(found[name] != sound[name] for name in READ if isinstance(found[name], (str, list, dict, bool))):
        raise ValueError(found)
    if {**found, **dict.fromkeys(READ)} != {**sound, **dict.fromkeys(READ)}:
        raise Open
    whole = [found[name] for name in READ[:-1]]
    if any(type(number) is not int or number < 1 for number in whole) or not 0 <= found["rms_norm_eps"] < 1e9:
        raise ValueError(found)
    if {name: found[name] for name in READ} != {name: sound[name] for name in READ}:
        raise Open  # sizes that may not fit each other
    return {name: found[name] for name in READ}


def _loaded(file: Path) -> Any:
    return dict(load_model(file.parent).state_dict())


def _weights_reference(file: Path) -> Any:
    found, sound = plainly.safetensors(file), _model().state_dict()
    if {name: tuple(part.shape) for name, part in found.items()} != {
        name: tuple(part.shape) for name, part in sound.items()
    }:
        raise ValueError("tensors")
    return found


def _index_reference(file: Path) -> Any:
    found = plainly.value(plainly.text(file))["weight_map"]
    if set(found.values()) != {"model-00001-of-00001.safetensors"}:
        raise ValueError(found)
    if len(found) != len(_model().state_dict()):
        raise Open
    return plainly.safetensors(file.with_name("model-00001-of-00001.safetensors"))


SIZES = (b'"x"', b"-8", b"0", b"[]", b"1.5", b"16", b"2147483648", b"99999999999999999999")
"""None is the size that the weights have."""


def _generation(folder: Path) -> Path:
    save_generation({"temperature": 0.5, "eos_token_id": 3}, (3, 5), folder)
    return folder / "generation_config.json"


def _generation_reference(file: Path) -> Any:
    found = plainly.value(plainly.text(file))
    stop = found.get("eos_token_id")
    listed = stop if isinstance(stop, list) else [] if stop is None else [stop]
    if any(type(token) is not int or not 0 <= token < SHAPE["vocab_size"] for token in listed):
        raise ValueError(stop)
    return found


MODELS = [
    Reader(
        "lm/config.json",
        _saved("config.json"),
        _configured,
        _config_reference,
        NEUTRAL_TEXT,
        (
            bad_byte,
            value_of(b"hidden_size", (b'"x"', b"-8", b"0", b"[]", b"1.5")),
            value_of(b"num_hidden_layers", (b"{}", b"-1", b'"a"')),
        ),
        OTHER_TEXT,
    ),
    Reader(
        "lm/config.json of a model",
        _saved("config.json"),
        _loaded,
        None,
        NEUTRAL_TEXT,
        (
            bad_byte,
            *(value_of(key, SIZES) for key in (b"vocab_size", b"hidden_size", b"intermediate_size")),
            value_of(b"num_hidden_layers", (b"2", b"2147483648", b"0")),
        ),
        OTHER_TEXT,
    ),
    Reader(
        "lm/generation_config.json",
        _generation,
        lambda file: load_generation(file.parent, _config()),
        _generation_reference,
        NEUTRAL_TEXT,
        (bad_byte,),
        OTHER_TEXT,
    ),
    Reader("lm/model.safetensors", _saved("model.safetensors"), _loaded, _weights_reference, (), (cut,), BINARY),
    Reader(
        "lm/model.safetensors.index.json",
        _saved("model.safetensors.index.json"),
        _loaded,
        _index_reference,
        NEUTRAL_TEXT,
        (
            bad_byte,
            value_of(b"weight_map", (b"1", b"null", b"[]")),
            value_of(b"model.norm.weight", (b"1", b"null", b'"../other"')),
        ),
        OTHER_TEXT,
    ),
]


def _adapters(name: str) -> Any:
    def make(folder: Path) -> Path:
        model = _model()
        inject(model, LoraConfig(rank=2, alpha=4, targets=("q_proj",)))
        save_adapters(model, folder)
        return folder / name

    return make


def _adapted(file: Path) -> Any:
    model = _model()
    load_adapters(model, file.parent)
    return {f"base_model.model.{name}": part for name, part in model.state_dict().items() if ".lora_" in name}


def _adapter_reference(file: Path) -> Any:
    found = plainly.safetensors(file)
    shapes = sorted(part.shape for part in found.values())
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    if set(found) != {f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"} or shapes != [(2, 8), (8, 2)]:
        raise ValueError(found)
    return {name.removesuffix(".weight"): part for name, part in found.items()}


def _head(folder: Path) -> Path:
    ValueHead(4).save(folder)
    return folder / ValueHead.FILE


def _head_reference(file: Path) -> Any:
    found = plainly.safetensors(file)
    if {name: part.shape for name, part in found.items()} != {"score.weight": (1, 4), "score.bias": (1,)}:
        raise ValueError(found) if set(found) != {"score.weight", "score.bias"} else Open
    return found


PARTS = [
    Reader(
        "lm/adapter_config.json",
        _adapters("adapter_config.json"),
        _adapted,
        None,
        NEUTRAL_TEXT,
        (
            bad_byte,
            value_of(b"r", (b'"x"', b"null", b"-1", b"3", b"[]")),
            value_of(b"target_modules", (b"1", b"null", b'["nobody"]', b"[1]")),
        ),
        OTHER_TEXT,
    ),
    Reader(
        "lm/adapter_model.safetensors",
        _adapters("adapter_model.safetensors"),
        _adapted,
        _adapter_reference,
        (),
        (cut,),
        BINARY,
    ),
    Reader(
        "lm/value_head.safetensors",
        _head,
        lambda file: dict(ValueHead.load(file.parent).state_dict()),
        _head_reference,
        (),
        (cut,),
        BINARY,
    ),
]


READERS = [*MODELS, *PARTS]
