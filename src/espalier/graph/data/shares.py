"""Sizes of splits. Imports without torch."""

from __future__ import annotations

import math
from typing import Literal

RANDOM = (0.1, 0.1)
"""Shares of the labelled nodes to train on and to validate on: the protocol of Amazon and Coauthor."""
PER_CLASS = (20, 30)
"""Nodes of each class to train on and to validate on."""


def wrong_share(kind: Literal["random", "per_class"], train: float, val: float) -> str:
    """An error message if these sizes of a split are invalid, beginning with the field's name; empty if they are
    valid.
    """
    for name, value in (("train", train), ("val", val)):
        if not math.isfinite(value):
            return f"{name}: {value} is not a number of nodes"
        if kind == "random" and not 0.0 < value < 1.0:
            return f"{name}: {value:g} is not a share between 0 and 1"
        if kind == "per_class" and not (value >= 1 and value == int(value)):
            return f"{name}: {value:g} is not a whole number of nodes of each class, at least 1"
    if kind == "random" and train + val >= 1.0:
        return f"train: shares of {train:g} to train on and {val:g} to validate on leave no node to test on"
    return ""
