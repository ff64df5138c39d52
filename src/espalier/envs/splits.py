"""Train and held-out instances, told apart by what they are: no seed can put one instance in both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from espalier.envs.api import Split

HELDOUT_SHARE = 0.2
"""Share of instances, by hash, that are held out."""


def instance_key(env: str, data: Mapping[str, Any]) -> str:
    """A stable name of an instance: a hash of its canonical JSON."""
    text = env + json.dumps(data, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def split_of(key: str, heldout: float = HELDOUT_SHARE) -> Split:
    """The split that an instance belongs to; `heldout` is the share of all instances that is held out."""
    return "heldout" if int(key, 16) % 10_000 < 10_000 * heldout else "train"
