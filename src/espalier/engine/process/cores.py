"""Shares the CPU between engines in processes of their own and the learner."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Cores:
    """threads: of each engine. engines: the cores of each engine; empty for all. learner: threads of the learner."""

    threads: int
    engines: list[list[int]]
    learner: int


def available() -> list[int]:
    """The cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def divide(cores: list[int], engines: int, *, overlap: bool, threads: int | None = None) -> Cores:
    """Give each engine `threads` threads, or an equal share.

    With `overlap`, the engines get half of the cores and the learner the rest, and each engine stays on its own: two
    sides that both run on all cores slow each other down many times over. Without, they work in turn, each on all.
    """
    each = threads or max(1, len(cores) // (2 if overlap else 1) // engines)
    if not overlap or each * engines >= len(cores):
        return Cores(each, [[] for _ in range(engines)], len(cores))
    first = len(cores) - each * engines
    own = [cores[first + each * i : first + each * (i + 1)] for i in range(engines)]
    return Cores(each, own, first)


def divided(engines: int, *, overlap: bool, threads: int | None = None) -> Cores:
    """`divide` of the cores of this process, of which torch may have been told to use only some."""
    return divide(available()[: torch.get_num_threads()], engines, overlap=overlap, threads=threads)
