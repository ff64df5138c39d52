"""Low-rank adapters (Hu et al. 2021), in memory and in PEFT's layout on disk."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from espalier.core.errors import ConfigError, DataError
from espalier.core.io.files import write_atomic, write_json
from espalier.core.io.text import parse_json, read_text
from espalier.lm.checkpoint.tensors import load_tensors
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.layers.linear import Linear
from espalier.lm.native.linear import linear

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."

READ = frozenset({"peft_type", "r", "lora_alpha", "target_modules"})
HARMLESS = frozenset(
    {
        *("auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision", "task_type"),
        *("corda_config", "ensure_weight_tying", "eva_config", "layers_pattern", "loftq_config", "lora_dropout"),
        *("lora_ga_config", "megatron_config", "megatron_core", "qalora_group_size", "runtime_config"),
    }
)
"""Fields of PEFT's adapter_config.json that have no effect once the adapter is trained, together with the neutral ones
below."""
NEUTRAL = {"bias": ("none",), "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal")}
"""Values that have no effect. Any other field must be empty or false."""


class LoraLinear(nn.Linear):
    """A frozen linear layer plus scale * B A. `weight` keeps its name and its storage; A and B are always fp32."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.rank, self.alpha = rank, alpha
        self.lora_A = nn.Parameter(base.weight.new_empty(rank, base.in_features, dtype=torch.float32))
        self.lora_B = nn.Parameter(base.weight.new_zeros(base.out_features, rank, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """[N, in] -> [N, out]."""
        low = F.linear(x, self.lora_A.to(x.dtype))
        added = F.linear(low, self.lora_B.to(x.dtype)) * (self.alpha / self.rank)
        return linear(x, self.weight, self.bias) + added

    @torch.no_grad()
    def merged(self) -> Linear:
        """The base layer with the adapter added to its weight, in place."""
        base = Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        self.weight += _delta(self.lora_A, self.lora_B, self.alpha / self.rank).to(self.weight.dtype)
        base.weight, base.bias = self.weight, self.bias
        return base


def inject(model: Decoder, config: LoraConfig, *, seed: int = 0) -> None:
    """Adapt the targeted linear layers of `model` in place, and freeze everything except the adapters.

    B starts at zero, so the model's output does not change; A is initialised from `seed`. Raises ConfigError if no
    layer has a targeted name or the model already has adapters.
    """
    chosen = _targeted(model, config)
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, base in chosen.items():
        layer = LoraLinear(base, config.rank, config.alpha)
        bound = 1 / math.sqrt(base.in_features)
        drawn = torch.rand(layer.lora_A.shape, generator=generator) * (2 * bound) - bound
        with torch.no_grad():
            layer.lora_A.copy_(drawn)
        model.set_submodule(name, layer)


def merge(model: Decoder) -> None:
    """Add the adapters to the weights in place and remove them; every parameter is trainable again."""
    for name, layer in _layers(model).items():
        model.set_submodule(name, layer.merged())
    model.requires_grad_(True)


def adapted(model: Decoder) -> bool:
    """Whether the model has adapters."""
    return bool(_layers(model))


def lora_shape(model: Decoder) -> tuple[int, float]:
    """Rank and alpha of the model's adapters; zeros if it has none."""
    return next(((layer.rank, layer.alpha) for layer in _layers(model).values()), (0, 0.0))


def merged(model: Decoder) -> Decoder:
    """The model without adapters: a merged copy, or the model itself if it has none."""
    if not adapted(model):
        return model
    copied = copy.deepcopy(model)
    merge(copied)
    return copied


def base_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a decoder by name, without its adapters."""
    return {name: tensor for name, tensor in tensors.items() if ".lora_" not in name}


@torch.no_grad()
def merged_tensors(tensors: Mapping[str, Tensor], rank: int, alpha: float) -> dict[str, Tensor]:
    """The weights of a decoder by name, with its adapters added. The given tensors are not changed."""
    found = base_tensors(tensors)
    for name, low in tensors.items():
        layer, _, part = name.rpartition(".")
        if part == "lora_A":
            weight = found[f"{layer}.weight"]
            found[f"{layer}.weight"] = weight + _delta(low, tensors[f"{layer}.lora_B"], alpha / rank).to(weight.dtype)
    return found


def _delta(low: Tensor, high: Tensor, scale: float) -> Tensor:
    """What adapters add to the weight: scale * B A, in float64."""
    return high.double() @ low.double() * scale


def save_adapters(model: Decoder, path: Path, *, base: str | None = None) -> None:
    """Write adapter_config.json and adapter_model.safetensors, which PEFT loads, into the folder `path`.

    `base` is the name of the checkpoint that they adapt. Raises ConfigError if the model has none.
    """
    layers = _layers(model)
    if not layers:
        raise ConfigError("the model has no LoRA adapters to save")
    first = next(iter(layers.values()))
    tensors = {f"{name}.{part}": tensor for name, layer in layers.items() for part, tensor in _parts(layer).items()}
    write_adapters(tensors, path, rank=first.rank, alpha=first.alpha, base=base)


def write_adapters(
    tensors: Mapping[str, Tensor], path: Path, *, rank: int, alpha: float, base: str | None = None
) -> None:
    """Like `save_adapters`, from the matrices by their names in the decoder: `...q_proj.lora_A` and `lora_B`."""
    path.mkdir(parents=True, exist_ok=True)
    files = {f"{PREFIX}{name}.weight": tensor.contiguous() for name, tensor in tensors.items()}
    write_atomic(path / WEIGHTS, save(files, {"format": "pt"}))
    content = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": sorted({_last(name.rpartition(".")[0]) for name in tensors}),
    }
    write_json(path / CONFIG, content)


def load_adapters(model: Decoder, path: Path) -> None:
    """Inject the adapters of the folder `path`, written by `save_adapters` or by PEFT, into `model`.

    Raises DataError, naming file and tensor, if they do not fit it.
    """
    config = _read_config(path / CONFIG)
    try:
        targeted = _targeted(model, config)
    except ConfigError as error:
        raise DataError(f"{path / CONFIG}: {error}") from error
    tensors = _read_tensors(path / WEIGHTS, {name: (layer, config.rank) for name, layer in targeted.items()})
    inject(model, config)
    own = model.state_dict()
    for name, tensor in tensors.items():
        own[name].copy_(tensor)


def read_adapters(model: Decoder, path: Path) -> dict[str, Tensor]:
    """The adapters in the folder `path` by the parameter of the adapted `model` that each replaces.

    Raises DataError, naming file and tensor or field, if they do not have the same layers, rank and alpha.
    """
    config, layers = _read_config(path / CONFIG), _layers(model)
    for name, layer in layers.items():
        if (config.rank, config.alpha) != (layer.rank, layer.alpha):
            raise DataError(
                f"{path / CONFIG}: rank {config.rank} and alpha {config.alpha:g}; those of {name} are {layer.rank} and "
                f"{layer.alpha:g}"
            )
    return _read_tensors(path / WEIGHTS, {name: (layer, layer.rank) for name, layer in layers.items()})


def _read_tensors(file: Path, layers: Mapping[str, tuple[nn.Linear, int]]) -> dict[str, Tensor]:
    """The tensors of adapters for `layers`, each with its rank, by the name of the parameter that each becomes."""
    tensors = load_tensors(file)
    shapes = {
        f"{PREFIX}{name}.{part}": shape
        for name, (layer, rank) in layers.items()
        for part, shape in (
            ("lora_A.weight", (rank, layer.in_features)),
            ("lora_B.weight", (layer.out_features, rank)),
        )
    }
    if odd := sorted(shapes.keys() ^ tensors.keys()):
        raise DataError(f"{file}: tensor {odd[0]} is {'missing' if odd[0] in shapes else 'not one of this model'}")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise DataError(f"{file}: tensor {name} has shape {list(tensors[name].shape)}, not {list(shape)}")
    return {name.removeprefix(PREFIX).removesuffix(".weight"): tensor for name, tensor in tensors.items()}


def _read_config(file: Path) -> LoraConfig:
    content = parse_json(read_text(file), str(file))
    if not isinstance(content, dict) or content.get("peft_type") != "LORA":
        raise DataError(f"{file}: peft_type is not 'LORA'; only plain LoRA adapters can be loaded")
    for name, value in content.items():
        if name not in READ | HARMLESS and value and value not in NEUTRAL.get(name, ()):
            raise DataError(f"{file}: {name}: {value!r} is not implemented; only plain LoRA adapters can be loaded")
    targets = content.get("target_modules")
    if not isinstance(targets, list):  # a pattern, which PEFT matches against whole names
        raise DataError(f"{file}: target_modules: {targets!r} is not a list of the last names of layers")
    try:
        return LoraConfig.of(rank=content.get("r"), alpha=content.get("lora_alpha"), targets=tuple(targets))
    except ConfigError as error:
        raise DataError(f"{file}: {error}") from error


def _targeted(model: Decoder, config: LoraConfig) -> dict[str, nn.Linear]:
    if _layers(model):
        raise ConfigError("the model has LoRA adapters already: merge them first")
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    chosen = {name: module for name, module in linear.items() if _last(name) in config.targets}
    if not chosen:
        raise ConfigError(
            f"lora.targets {', '.join(config.targets)}: the {model.config.family} model has no such layer"
        )
    return chosen


def _parts(layer: LoraLinear) -> dict[str, Tensor]:
    return {"lora_A": layer.lora_A.detach(), "lora_B": layer.lora_B.detach()}


def _layers(model: Decoder) -> dict[str, LoraLinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}


def _last(name: str) -> str:
    return name.rpartition(".")[2]
