"""Weights in files, for engines that read a folder: full checkpoints, or adapters alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from espalier.core.io.files import atomic_dir
from espalier.core.io.scratch import scratch
from espalier.engine.api import UpdateKind
from espalier.engine.updates import AdapterUpdate, FileUpdate, TensorUpdate, WeightUpdate
from espalier.lm.checkpoint.files import save_weights
from espalier.lm.decoder import Decoder
from espalier.lm.lora import lora_shape, merged_tensors, write_adapters

KEPT = 2
"""Versions on disk: the current one, which an engine that returns still needs, and the one before."""


class Disk:
    """Implements `Channel`: a Hugging Face folder for each version. Each appears whole or not at all.

    model: the learner's, for its config. Adapters are added to the weights that they adapt. root: the folder for the
    versions; by default one in the machine's memory, removed by `close`.
    """

    kind: UpdateKind = "files"

    def __init__(self, model: Decoder, root: Path | None = None) -> None:
        self._config = model.config
        self._rank, self._alpha = lora_shape(model)
        self._own = root is None
        self._root = root or scratch()

    def send(self, update: TensorUpdate) -> WeightUpdate:
        """See `Channel`."""
        folder = self._root / f"version_{update.version}"
        with atomic_dir(folder) as path:
            self._write(update.tensors, path)
        for old in sorted(self._root.glob("version_*"), key=lambda path: path.stat().st_mtime_ns)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return self._update(update, folder)

    def close(self) -> None:
        """See `Channel`."""
        if self._own:
            shutil.rmtree(self._root, ignore_errors=True)

    def _write(self, tensors: Mapping[str, Tensor], folder: Path) -> None:
        whole = merged_tensors(tensors, self._rank, self._alpha) if self._rank else tensors
        save_weights(self._config, whole, folder)

    def _update(self, update: TensorUpdate, folder: Path) -> WeightUpdate:
        return FileUpdate(update.version, folder, update.probe)


class Adapters(Disk):
    """Implements `Channel`: only the LoRA adapters, as a PEFT folder for each version. The engine has the rest."""

    kind: UpdateKind = "adapter"

    def _write(self, tensors: Mapping[str, Tensor], folder: Path) -> None:
        own = {name: tensor for name, tensor in tensors.items() if ".lora_" in name}
        write_adapters(own, folder, rank=self._rank, alpha=self._alpha)

    def _update(self, update: TensorUpdate, folder: Path) -> WeightUpdate:
        return AdapterUpdate(update.version, folder, update.probe)
