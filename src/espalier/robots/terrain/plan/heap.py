"""A binary heap in two arrays, least key first, for the kernels of the searches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Keys = npt.NDArray[np.float64]
Items = npt.NDArray[np.int32]


@njit(cache=True)
def push(keys: Keys, items: Items, size: int, key: float, item: int) -> int:
    """Add an item to the first `size` entries; returns the new size. The arrays must have room."""
    hole = size
    while hole > 0:
        parent = (hole - 1) >> 1
        if keys[parent] <= key:
            break
        keys[hole], items[hole] = keys[parent], items[parent]
        hole = parent
    keys[hole], items[hole] = key, item
    return size + 1


@njit(cache=True)
def pop(keys: Keys, items: Items, size: int) -> int:
    """Remove the least entry, the one at 0, and return the new size."""
    size -= 1
    key, item = keys[size], items[size]
    hole, child = 0, 1
    while child < size:
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[hole], items[hole] = keys[child], items[child]
        hole = child
        child = 2 * hole + 1
    keys[hole], items[hole] = key, item
    return size
