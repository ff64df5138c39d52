"""The learner's checkpoint: tensors in safetensors, numbers in JSON, no pickle.

One process writes each part into a file, several ranks into a folder with a file of each. Both are read on any number
of ranks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from espalier.core.errors import DataError
from espalier.core.io.text import read_object
from espalier.lm.checkpoint.tensors import load_tensors, save_tensors
from espalier.rl.learner.ranks.ranks import ALONE, Ranks

FORMAT = 1
STATE = "state.json"


def weights(module: nn.Module, *, frozen: bool = False) -> dict[str, Tensor]:
    """Trainable parameters (all of them with `frozen`) and buffers by name, each shared tensor once."""
    parameters = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad or frozen}
    saved = module.state_dict(keep_vars=True)
    buffers = {name: b for name, b in module.named_buffers() if name in saved}
    return parameters | buffers


@torch.no_grad()
def set_weights(module: nn.Module, saved: Mapping[str, Tensor], *, frozen: bool = False) -> None:
    """Copy `weights(...)` back, in place. Raises DataError if names or shapes differ."""
    own = weights(module, frozen=frozen)
    odd = sorted(own.keys() ^ saved.keys()) or sorted(n for n in own if own[n].shape != saved[n].shape)
    if odd:
        raise DataError(
            f"the checkpoint is of another model: {len(odd)} tensors differ in name or shape, the first is {odd[0]!r}"
        )
    for name, tensor in own.items():
        tensor.copy_(saved[name])


def write(
    folder: Path, parts: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], ranks: Ranks = ALONE
) -> None:
    """Write each part as `<part>.safetensors`, or into a folder `<part>` where ranks are several, and `state` as
    `state.json` into `folder`, made if needed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in parts.items():
        if ranks.size == 1:
            save_tensors(tensors, folder / f"{name}.safetensors")
        else:
            from espalier.rl.learner.ranks.storage import check_parts, save_parts

            save_parts(tensors, folder / name)
            if not ranks.rank:
                check_parts(tensors, folder / name)
    if ranks.rank:
        return
    text = json.dumps({"format": FORMAT, **state}, indent=1)
    (folder / STATE).write_text(text, encoding="utf-8")


def read_state(folder: Path) -> dict[str, Any]:
    """The numbers. Raises DataError if the file is missing, broken or of another format."""
    path = folder / STATE
    state = read_object(path)
    if state.get("format") != FORMAT:
        raise DataError(f"{path}: format {state.get('format')!r}, this version reads {FORMAT}")
    return state


def read_part(
    folder: Path, name: str, room: Callable[[], Mapping[str, Tensor]] = dict, ranks: Ranks = ALONE
) -> dict[str, Tensor]:
    """The tensors of one part. `room` makes tensors of the names and divisions that are expected, which are read into
    where the part or the learner is divided among ranks. Raises DataError if the part is missing or broken.
    """
    file = folder / f"{name}.safetensors"
    try:
        if ranks.size == 1 and not (folder / name).is_dir():
            return load_tensors(file)
        place = file if file.exists() else folder / name
        from espalier.rl.learner.ranks import storage

        saved, own = storage.saved_names(place), room()
        found = {key: own[key] if key in own else torch.empty(shape, device="meta") for key, shape in saved.items()}
        storage.load_parts(place, {key: tensor for key, tensor in found.items() if key in own}, alone=ranks.size == 1)
        return found
    except DataError as error:
        raise DataError(f"{error}; resume with the learner config that was saved") from error
