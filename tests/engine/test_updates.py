"""New weights in each of their forms give the same engine."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_models import decoder, engine

from espalier.core.errors import EngineError
from espalier.engine.channels.shm import SharedMemory, SharedReader
from espalier.engine.local import LocalEngine
from espalier.engine.updates import AdapterUpdate, FileUpdate, Place, SharedUpdate, TensorUpdate, WeightUpdate
from espalier.lm.checkpoint.files import save_model
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import inject, save_adapters

PROMPT = [5, 6, 7, 8]
MEMORY = SharedMemory()


def weights(model: Decoder) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters())


def as_tensors(model: Decoder, folder: Path) -> WeightUpdate:
    return TensorUpdate(3, weights(model))


def as_files(model: Decoder, folder: Path) -> WeightUpdate:
    save_model(model, folder / "model")
    return FileUpdate(3, folder / "model")


def in_shared_memory(model: Decoder, folder: Path) -> WeightUpdate:
    return MEMORY.send(TensorUpdate(3, weights(model)))


async def scores(local: LocalEngine, update: WeightUpdate) -> list[float]:
    await local.load(update)
    assert local.version == update.version
    return await local.score(PROMPT)


@pytest.mark.parametrize("form", [as_tensors, as_files, in_shared_memory])
def test_every_form_gives_the_same_engine(form: Callable[[Decoder, Path], WeightUpdate], tmp_path: Path) -> None:
    other = decoder(seed=1)
    wanted = asyncio.run(engine(other).score(PROMPT))
    update = form(other, tmp_path)
    local = engine(decoder(seed=0), weights="copy")
    assert update.kind in local.capabilities.updates
    assert asyncio.run(scores(local, update)) == wanted
    if isinstance(update, SharedUpdate):
        MEMORY.close()
        assert asyncio.run(local.score(PROMPT)) == wanted


def test_an_adapter_replaces_the_adapter_alone(tmp_path: Path) -> None:
    config = LoraConfig(rank=2, alpha=4.0, targets=("q_proj", "down_proj"))
    own, other = decoder(seed=0), decoder(seed=0)
    for model, seed in ((own, 0), (other, 1)):
        inject(model, config, seed=seed)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name.endswith("lora_B"):
                parameter.normal_(generator=torch.Generator().manual_seed(2))
    save_adapters(other, tmp_path)
    local = engine(own, weights="copy")
    before = asyncio.run(local.score(PROMPT))
    after = asyncio.run(scores(local, AdapterUpdate(3, tmp_path)))
    assert after == asyncio.run(engine(other).score(PROMPT))
    assert after != before
    plain = engine(decoder(), weights="copy")
    with pytest.raises(EngineError, match="has no adapters to replace"):
        asyncio.run(plain.load(AdapterUpdate(4, tmp_path)))


def test_weights_shared_with_the_learner_are_not_overwritten(tmp_path: Path) -> None:
    local = engine(decoder(), weights="alias")
    with pytest.raises(EngineError, match=r"does not accept updates of the kind files: set engine\.weights=copy"):
        asyncio.run(local.load(FileUpdate(1, tmp_path)))


def test_what_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    local = engine(decoder(), weights="copy")
    before = asyncio.run(local.score(PROMPT))
    memory = SharedMemory()
    good = memory.send(TensorUpdate(1, weights(decoder(seed=1))))
    assert isinstance(good, SharedUpdate)
    name = good.places[0].name
    broken = [
        (FileUpdate(1, tmp_path), "version 1 cannot be loaded: .*config.json"),
        (replace(good, file=tmp_path / "gone"), "version 1 are not in .*gone"),
        (replace(good, places=[*good.places[1:], Place(name, "float32", (10**9,), 0)]), f"{name} reaches beyond"),
        (replace(good, places=[*good.places[1:], Place(name, "load", (1,), 0)]), f"{name} .*not a valid tensor"),
        (replace(good, places=good.places[1:]), f"missing {name}"),
        (replace(good, version=2), "version 2 cannot be read: their place holds version 1 by now"),
    ]
    for update, message in broken:
        with pytest.raises(EngineError, match=message):
            asyncio.run(local.load(update))
    memory.close()
    assert local.version == 0
    assert asyncio.run(local.score(PROMPT)) == before


def test_weights_without_room_are_an_error_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    memory = SharedMemory()
    with pytest.raises(EngineError, match=r"no room for 256 bytes of weights in shared memory: .*No space left"):
        memory.send(TensorUpdate(1, {"a": torch.ones(3)}))


def test_shared_memory_crosses_processes() -> None:
    tensors = {"a": torch.arange(6, dtype=torch.bfloat16).view(2, 3), "b": torch.zeros(0), "c": torch.ones(5).double()}
    memory = SharedMemory()
    update = memory.send(TensorUpdate(7, tensors))
    assert isinstance(update, SharedUpdate)
    code = (
        "import sys; from pathlib import Path; from espalier.engine.channels.shm import SharedReader\n"
        "from espalier.engine.updates import Place, SharedUpdate\n"
        f"update = SharedUpdate(7, Path({str(update.file)!r}), {list(update.places)!r}, {update.stamp})\n"
        "with SharedReader().tensors(update) as t: print(t['a'].tolist(), t['b'].shape[0], t['c'].sum().item())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    memory.close()
    assert done.stdout.strip() == "[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] 0 5.0", done.stderr
    assert not update.file.exists()


def sent(memory: SharedMemory, version: int) -> SharedUpdate:
    update = memory.send(TensorUpdate(version, {"a": torch.full((4,), float(version))}))
    assert isinstance(update, SharedUpdate)
    return update


def test_a_version_stays_until_the_next_but_one() -> None:
    memory, reader = SharedMemory(), SharedReader()
    updates = [sent(memory, version) for version in range(2)]
    for version, update in enumerate(updates):
        with reader.tensors(update) as tensors:
            assert tensors["a"].tolist() == [version] * 4
    sent(memory, 2)
    with (
        pytest.raises(EngineError, match="version 0 cannot be read: their place holds version 2"),
        reader.tensors(updates[0]),
    ):
        pass
    memory.close()


def test_weights_overwritten_while_they_are_read_are_not_used() -> None:
    memory, reader = SharedMemory(), SharedReader()
    update = sent(memory, 0)

    def torn() -> None:
        with reader.tensors(update) as tensors:
            half = tensors["a"][:2].clone()
            sent(memory, 1)
            sent(memory, 2)
            assert (half.tolist(), tensors["a"].tolist()) == ([0.0] * 2, [2.0] * 4), "half of each version"

    with pytest.raises(EngineError, match="holds version 2 by now"):
        torn()
    memory.close()


def test_weights_half_written_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, reader = SharedMemory(), SharedReader()
    first = sent(memory, 0)
    sent(memory, 1)

    def killed(self: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(torch.Tensor, "copy_", killed)
        with pytest.raises(KeyboardInterrupt):
            sent(memory, 2)
    with pytest.raises(EngineError, match="is being written"), reader.tensors(replace(first, version=2)):
        pass
    memory.close()


def test_weights_of_another_form_are_refused() -> None:
    memory = SharedMemory()
    sent(memory, 0)
    with pytest.raises(EngineError, match="the weights changed their form between two publishes"):
        memory.send(TensorUpdate(1, {"a": torch.zeros(5)}))
    memory.close()
