"""What a run is gone on from."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import reference as plainly
import torch
from mutators import BINARY, NEUTRAL_TEXT, OTHER_TEXT, bad_byte, cut, value_of
from oracle import Open, Reader
from safetensors.torch import save_file

from espalier.core.io.files import write_json
from espalier.core.run.checkpoints import SUMS, seal, verify
from espalier.core.run.pieces import read_piece, write_piece
from espalier.rl.browse import Browser
from espalier.rl.learner.checkpoint import read_part, read_state, write
from espalier.rl.loop.checkpoints import Checkpoints


def _learner(name: str) -> Any:
    def make(folder: Path) -> Path:
        write(folder, {"policy": {"a": torch.ones(2, 3), "b": torch.arange(4.0)}}, {"step": 3, "lr": 0.5})
        return folder / name

    return make


def _parts(folder: Path) -> Path:
    """A matrix whose rows two ranks have written, each its own."""
    place = folder / "policy"
    place.mkdir()
    for rank in range(2):
        offsets = {"a": {"saved_offsets": [rank, 0]}}
        about = {"DCP_SHARDING_INFO": json.dumps(offsets), "DCP_VERSION": "1.0", "format": "pt"}
        file = place / f"shard-0000{rank + 1}-model-00001-of-00001.safetensors"
        save_file({"a": torch.full((1, 3), float(rank))}, file, about)
    return place / "shard-00001-model-00001-of-00001.safetensors"


def _state_reference(file: Path) -> Any:
    found = plainly.value(plainly.text(file))
    if found["format"] != 1:
        raise ValueError(found)
    return found


def _step(name: str) -> Any:
    def make(folder: Path) -> Path:
        place, state = folder / "step_0000003", {"stage": "rl", "step": 3, "cursor": 5, "figures": {"b": 0.5}}
        place.mkdir()
        (place / "state.json").write_text(json.dumps(state, indent=2))
        seal(place)
        return place / name

    return make


def _latest(file: Path) -> Any:
    """Of a checkpoint whose checksums were made anew."""
    seal(file.parent)
    run: Any = SimpleNamespace(checkpoints=file.parent.parent, say=str)
    return Checkpoints(run, keep=2).latest().state  # type: ignore[union-attr]


def _latest_reference(file: Path) -> Any:
    empty: dict[str, Any] = {name: {} for name in ("groups", "idle", "figures", "source", "expansion")}
    found = {"cursor": 0, **empty, **plainly.value(plainly.text(file))}
    kinds = {"stage": str, "step": int, "cursor": int, **dict.fromkeys(empty, dict)}
    if any(type(found[name]) is not kind for name, kind in kinds.items()):
        raise TypeError(found)
    if set(found) != set(kinds) or any(found[name] for name in ("groups", "idle", "source", "expansion")):
        raise Open
    if any(type(figure) not in (int, float) for figure in found["figures"].values()):
        raise TypeError(found)
    return found


def _verified(file: Path) -> Any:
    verify(file.parent)
    return "whole"


def _sums_reference(file: Path) -> Any:
    lines = dict(line.split("  ", 1)[::-1] for line in plainly.text(file).removesuffix("\n").split("\n"))
    if lines != {"state.json": sha256(file.with_name("state.json").read_bytes()).hexdigest()}:
        raise ValueError(lines)
    return "whole"


def _piece(folder: Path) -> Path:
    write_piece(folder / "piece.json", {"arm": "sbs", "load": 0.5, "figures": {"p99": [1, 2.5, None]}})
    return folder / "piece.json"


def _piece_reference(file: Path) -> Any:
    found = plainly.value(plainly.text(file))
    said = found.pop("sha256")
    if said != sha256(json.dumps(found, sort_keys=True).encode()).hexdigest():
        raise ValueError(said)
    return found


def _samples(folder: Path) -> Path:
    passage = {"role": "assistant", "pieces": ["4", "2"], "values": {"advantage": [0.5, -1.0]}}
    one = {"key": "k/0", "passages": [passage], "correct": True, "facts": {"task": "t", "reward": 1.0}}
    write_json(folder / "after.json", [one, {**one, "key": "k/1"}])
    return folder / "after.json"


def _browsed(file: Path) -> Any:
    browser: Any = SimpleNamespace(_folder=file.parent)
    return Browser.block(browser).sets["after"]


READERS = [
    Reader(
        "rl/learner's state.json",
        _learner("state.json"),
        lambda file: read_state(file.parent),
        _state_reference,
        NEUTRAL_TEXT,
        (bad_byte, value_of(b"format", (b'"x"', b"null", b"2"))),
        OTHER_TEXT,
    ),
    Reader(
        "rl/learner's policy.safetensors",
        _learner("policy.safetensors"),
        lambda file: read_part(file.parent, "policy"),
        plainly.safetensors,
        (),
        (cut,),
        BINARY,
    ),
    Reader(
        "rl/learner's part of a rank",
        _parts,
        lambda file: read_part(file.parent.parent, "policy", lambda: {"a": torch.zeros(2, 3)}),
        None,
        (),
        (cut,),
        BINARY,
    ),
    Reader(
        "rl/checkpoint's state.json",
        _step("state.json"),
        _latest,
        _latest_reference,
        NEUTRAL_TEXT,
        (bad_byte, value_of(b"step", (b'"x"', b"null", b"[]"))),
        OTHER_TEXT,
    ),
    Reader(
        "core/SHA256SUMS",
        _step(SUMS),
        _verified,
        _sums_reference,
        NEUTRAL_TEXT,
        (bad_byte,),
        OTHER_TEXT,
    ),
    Reader(
        "core/piece.json",
        _piece,
        read_piece,
        _piece_reference,
        NEUTRAL_TEXT,
        (bad_byte, value_of(b"load", (b"0.25", b"null")), value_of(b"sha256", (b'"0"', b"null"))),
        OTHER_TEXT,
    ),
    Reader(
        "rl/samples.json",
        _samples,
        _browsed,
        None,
        NEUTRAL_TEXT,
        (bad_byte, value_of(b"pieces", (b"1", b"null")), value_of(b"correct", (b"1", b'"x"'))),
        OTHER_TEXT,
    ),
]
