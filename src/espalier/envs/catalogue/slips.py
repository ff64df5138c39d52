"""Mistakes of demonstrations: near misses, as people make them."""

from __future__ import annotations

from random import Random


def slipped(result: int, probability: float, random: Random) -> int:
    """`result`, or with `probability` a number near it that is not below zero."""
    if random.random() >= probability:
        return result
    return max(0, result + random.choice((-10, -2, -1, 1, 2, 10)))


def swapped(items: list[str], probability: float, random: Random) -> list[str]:
    """`items`, in which each but the last changes places with its neighbour with `probability`."""
    result = list(items)
    for i in range(len(result) - 1):
        if random.random() < probability:
            result[i], result[i + 1] = result[i + 1], result[i]
    return result
