"""A trainer's state on disk: whole or absent, and never unpickled into code."""

from __future__ import annotations

from pathlib import Path

import torch

from espalier.core.errors import RunError
from espalier.core.files import atomic_dir, sweep
from espalier.graph.train.fit import Trainer


def save(trainer: Trainer, folder: Path, seed: int) -> None:
    """Write the trainer's state into `folder`, in place of what is there. seed: which of a run's seeds it is."""
    with atomic_dir(folder) as temp:
        torch.save({"seed": seed, **trainer.state()}, temp / "state.pt")


def restore(trainer: Trainer, folder: Path, seed: int) -> bool:
    """Go on from `folder`; returns whether there was a state of this seed in it."""
    sweep(folder.parent)
    file = folder / "state.pt"
    if not file.is_file():
        return False
    try:
        state = torch.load(file, weights_only=True)
        if state["seed"] != seed:
            return False
        trainer.load_state(state)
    except Exception as error:  # torch raises many kinds
        raise RunError(f"{file} does not fit this recipe ({error}). Delete it to begin again.") from None
    return True
