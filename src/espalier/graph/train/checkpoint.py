"""Saves a trainer's state in a run's checkpoints. Loading never unpickles code."""

from __future__ import annotations

import io

import torch

from espalier.core.errors import RunError
from espalier.core.run.checkpoints import Checkpoints
from espalier.graph.train.fit import Trainer


def save(trainer: Trainer, checkpoints: Checkpoints, number: int, seed: int) -> None:
    """Write the trainer's state as checkpoint `number`. seed: the seed of the run that it belongs to."""
    state = io.BytesIO()
    torch.save({"seed": seed, **trainer.state()}, state)
    with checkpoints.write(number) as folder:
        (folder / "state.pt").write_bytes(state.getbuffer())


def restore(trainer: Trainer, checkpoints: Checkpoints, seed: int) -> bool:
    """Restore the newest checkpoint; returns whether it belongs to this seed. Raises as `Checkpoints.newest` does."""
    folder = checkpoints.newest()
    if folder is None:
        return False
    file = folder / "state.pt"
    try:
        state = torch.load(file, weights_only=True)
        if state["seed"] != seed:
            return False
        trainer.load_state(state)
    except Exception as error:  # torch raises many kinds
        raise RunError(f"{file} does not fit this recipe ({error}). Delete it to begin again.") from None
    return True
