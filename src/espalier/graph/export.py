"""Encoders on disk: safetensors, the recipe that made them, and a card to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file

from espalier import __version__
from espalier.core.errors import DataError
from espalier.core.files import atomic_dir
from espalier.graph.methods.api import Method
from espalier.graph.methods.build import build_method
from espalier.graph.methods.config import AnyMethod

if TYPE_CHECKING:
    from espalier.graph.experiment import Experiment

_METHOD: TypeAdapter[AnyMethod] = TypeAdapter(AnyMethod)


def export(experiment: Experiment, folder: Path, figures: dict[str, float] | None = None) -> None:
    """Write the experiment's method into `folder`, with a card that tells data, settings and figures."""
    config, graph = experiment.config, experiment.graph
    facts = {"data": graph.name, "seed": experiment.seed, "figures": figures or {}, "fit": config.fit.model_dump()}
    save_method(experiment.method, config.method, folder, graph.n_features, graph.n_classes, facts)


def save_method(
    method: Method, config: AnyMethod, folder: Path, n_features: int, n_classes: int = 0, facts: Any = None
) -> None:
    """Write weights (`model.safetensors`), settings (`config.json`) and a card (`README.md`), or nothing at all."""
    tensors = {
        name: value.contiguous().clone() for name, value in method.state_dict().items() if hasattr(value, "numel")
    }
    content = {
        "espalier": __version__,
        "method": config.model_dump(mode="json"),
        "n_features": n_features,
        "n_classes": n_classes,
        **(facts or {}),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_dir(folder) as temp:
        save_file(tensors, temp / "model.safetensors")
        (temp / "config.json").write_text(json.dumps(content, indent=2) + "\n")
        (temp / "README.md").write_text(_card(content, sum(tensor.numel() for tensor in tensors.values())))


def load_method(folder: Path) -> Method:
    """The method that `save_method` or `export` wrote. Raises DataError where the folder holds none."""
    try:
        content = json.loads((folder / "config.json").read_text())
        method = build_method(
            _METHOD.validate_python(content["method"]), int(content["n_features"]), int(content["n_classes"])
        )
        tensors = load_file(folder / "model.safetensors")
    except (OSError, ValueError, KeyError, ValidationError) as error:
        raise DataError(f"{folder} holds no exported encoder ({error})") from None
    missing, unexpected = method.load_state_dict(tensors, strict=False)
    if wrong := [name for name in (*missing, *unexpected) if not name.endswith("_extra_state")]:
        raise DataError(f"{folder}: its weights do not fit its config.json: {wrong[0]}")
    return method.eval()


def _card(content: dict[str, Any], parameters: int) -> str:
    method = content["method"]
    lines = [
        f"# {method['name']} encoder",
        "",
        f"Made by Espalier {content['espalier']}: {parameters:,} parameters, {content['n_features']} input features.",
    ]
    if "data" in content:
        lines += [f"Trained on {content['data']}, seed {content['seed']}."]
    if content.get("figures"):
        lines += ["", "| figure | value |", "| --- | --- |"]
        lines += [f"| {name} | {value:.4f} |" for name, value in content["figures"].items()]
    use = [
        "```python",
        "from espalier import graph",
        "",
        'method = graph.load_method("this/folder")',
        'z = method.embed(graph.load("Cora"))',
        "```",
    ]
    return "\n".join([*lines, "", *use, "", "Settings: `config.json`.", ""])
