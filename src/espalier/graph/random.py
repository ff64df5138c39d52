"""Randomness by place: every step draws from a generator seeded by the run's seed and the step's number.

So a resumed run needs no stored generator, and an evaluation between two steps changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from espalier.core.seed import derive


@contextmanager
def seeded(seed: int, *names: object) -> Iterator[None]:
    """torch's CPU and current CUDA generators at the stream `names` of `seed`; afterwards as they were."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(seed, *names))
        yield
