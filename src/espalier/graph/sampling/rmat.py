"""Generated graphs of any size: R-MAT with planted communities."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espalier.core.errors import EspalierError
from espalier.core.seed import derive, np_rng
from espalier.graph.ops.library import count, index_kernels, pointer
from espalier.graph.sampling.store import Edges, write_store

BLOCK = 1 << 22
QUADRANTS = (0.45, 0.22, 0.22)
"""Probabilities a, b, c of R-MAT's quadrants: a skewed degree distribution. Source: Chakrabarti et al. 2004, ours."""


def write_rmat(
    folder: Path,
    nodes: int,
    edges: int,
    *,
    classes: int = 16,
    inside: float = 0.7,
    width: int = 64,
    signal: float = 0.5,
    seed: int = 0,
) -> None:
    """Write a store of `nodes` nodes and about `edges` undirected edges (duplicates and loops are removed).

    Communities are runs of nodes of equal length, four for each of the `classes` labels, in turn; a share `inside` of
    the edges stays in its community. Features are `signal` times the direction of the class plus noise, in half
    precision.
    """
    run = max(-(-nodes // (4 * classes)), 1)
    means = np_rng(seed, "means").standard_normal((classes, width)).astype(np.float32) * signal

    def blocks() -> Iterator[Edges]:
        for first in range(0, edges, BLOCK):
            yield rmat_edges(nodes, first, min(BLOCK, edges - first), community=run, inside=inside, seed=seed)

    def labels(start: int, end: int) -> Any:
        return np.arange(start, end) // run % classes

    def features(start: int, end: int) -> Any:
        noise = np_rng(seed, "features", start).standard_normal((end - start, width), dtype=np.float32)
        return noise + means[labels(start, end)]

    write_store(folder, f"rmat-{nodes}", nodes, blocks, features, width, labels)


def rmat_edges(nodes: int, first: int, edges: int, *, community: int, inside: float, seed: int) -> Edges:
    """The edges from number `first` on. Each depends only on `seed` and its number."""
    kernels = index_kernels()
    if kernels is None:
        raise EspalierError("generating an R-MAT graph needs the C kernels: install a C compiler")
    source, target = np.empty(edges, np.int64), np.empty(edges, np.int64)
    kernels.rmat(
        torch.get_num_threads(),
        *map(count, (first, edges, nodes, community)),
        *map(ctypes.c_double, (inside, *QUADRANTS)),
        ctypes.c_uint64(derive(seed, "rmat")),
        *map(pointer, (source, target)),
    )
    return source, target
