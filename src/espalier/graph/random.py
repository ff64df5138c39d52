"""Random numbers by step: every step uses a generator seeded by the run's seed and the number of the step.

A resumed run therefore needs no stored generator, and an evaluation between two steps changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from espalier.core.seed import derive


@contextmanager
def seeded(seed: int, *names: object) -> Iterator[None]:
    """Seed torch's CPU and current CUDA generators with the stream `names` of `seed`; afterwards restore their
    state.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(seed, *names))
        yield
