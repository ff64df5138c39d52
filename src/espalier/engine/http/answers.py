"""What servers of all kinds answer alike: reasons to finish, log-probs and versions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from espalier.engine.api import Finish, Sampling
from espalier.engine.http.adapters import is_adapter
from espalier.engine.http.dialect import Call

FINISHES: Mapping[str, Finish] = {"stop": "stop", "length": "length", "abort": "abort"}


def sampled(raw: list[float], sampling: Sampling) -> list[float]:
    """Log-probs under the distribution that was sampled, as far as those of the plain softmax tell: NaN where the two
    differ, except that greedy tokens have 0.
    """
    if sampling.temperature == 0.0:
        return [0.0] * len(raw)
    plain = sampling.temperature == 1.0 and sampling.top_p == 1.0 and not sampling.top_k and not sampling.min_p
    return list(raw) if plain else [math.nan] * len(raw)


def versions(call: Call, spans: Any, count: int) -> list[int]:
    """The version of each token, from spans `[{"version": "7", "start": 0, "end": 2}]`; without them that of the call.

    Weights that were never labelled are version 0. A request that names an adapter is answered by it alone, and the
    label of the base weights means nothing.
    """
    if not spans or is_adapter(call.model):
        return [call.version] * count
    found = [0] * count
    for span in spans:
        label = str(span["version"])
        version = int(label) if label.isdecimal() else 0
        found[int(span["start"]) : int(span["end"])] = [version] * (int(span["end"]) - int(span["start"]))
    return found
