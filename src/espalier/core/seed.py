"""Seeds: every random stream is named, and derived from the run's seed by a stable hash."""

from __future__ import annotations

import hashlib
import random

import numpy as np


def derive(seed: int, *names: object) -> int:
    """A 63-bit seed for the stream `names` of `seed`; equal on every machine and Python version."""
    text = "\x1f".join([str(seed), *map(str, names)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def rng(seed: int, *names: object) -> random.Random:
    """A standard-library generator for the stream `names`."""
    return random.Random(derive(seed, *names))


def np_rng(seed: int, *names: object) -> np.random.Generator:
    """A numpy generator for the stream `names`."""
    return np.random.default_rng(derive(seed, *names))
