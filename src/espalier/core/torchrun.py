"""What torchrun tells the processes that it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping


def rank(environ: Mapping[str, str] = os.environ) -> int:
    """The number of this process among those of torchrun; 0 without it."""
    return int(environ.get("RANK", "0")) if size(environ) > 1 else 0


def local_rank(environ: Mapping[str, str] = os.environ) -> int:
    """The number of this process among those of its machine."""
    return int(environ.get("LOCAL_RANK", "0"))


def size(environ: Mapping[str, str] = os.environ) -> int:
    """The number of processes; 1 without torchrun."""
    return int(environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in environ else 1
