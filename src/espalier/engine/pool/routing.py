"""Which engine serves a request: rendezvous hashing, by which a key moves only when its engine leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def route(key: str, names: Sequence[str]) -> str:
    """The name among `names` with the largest hash together with `key`.

    Adding the n-th name moves about 1/n of the keys, all of them to it (Thaler and Ravishankar 1998).
    """
    return max(names, key=lambda name: hashlib.blake2b(f"{name}\x1f{key}".encode(), digest_size=8).digest())


def key_of(session: str, prompt: Sequence[int]) -> str:
    """The key of a request: its conversation, so that its turns find their KV cache; without one, its prompt, so that
    the samples of a group do. Sessions whose names are equal up to a `/` share what they begin with, and their key.
    """
    return session.partition("/")[0] or ",".join(map(str, prompt))
