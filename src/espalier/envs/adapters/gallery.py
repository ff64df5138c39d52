"""reasoning-gym's data sets as a worker holds them: puzzles by number, and their scorers with a guard.

Scorers pay for form, some for anything at all: what they pay a nonsense answer is no reward for a sensible one.
"""

from __future__ import annotations

import json
import math
import random
import re
import resource
import warnings
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import reasoning_gym
from reasoning_gym.composite import DatasetSpec
from reasoning_gym.dataset import ProceduralDataset
from reasoning_gym.factory import DATASETS

from espalier.core.errors import ConfigError, EnvError, nearest

ITEMS = 2**31
"""Items of a data set; each is generated from its number when it is asked for."""
FEWER_ITEMS = 10_000
"""Items of data sets that draw something for each of them when they are made, or allow no more."""
_FEWER = ("acre", "composite", "gsm_symbolic", "list_functions", "word_ladder")
MEMORY = 8 * 2**30
"""Bytes of address space of a worker: a scorer that asks for more fails instead of filling the machine."""

NONSENSE = ("", " ", "?", "#", "zzzz", "None")
"""Answers to no puzzle: whatever they earn is paid for nothing."""
EMPTY = ("0", "1", "[]", "{}", "()", "nan", "-inf")
"""Answers to few puzzles: where they are not fully paid, what they earn is paid for their form."""
_NOT_FINITE = re.compile(r"[\s\d.,()\[\]{}+\-*/ij]*(?:(?:nan|inf|infinity)[\s\d.,()\[\]{}+\-*/ij]*)+", re.IGNORECASE)


class Gallery:
    """Puzzles of any of reasoning-gym's tasks; `options` are given as JSON. Equal calls give equal results."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")  # what scorers make of nonsense
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard < 0 else min(MEMORY, hard), hard))
        self._set = lru_cache(maxsize=None)(_data_set)
        self._item = lru_cache(maxsize=512)(self._made)
        self._floor = lru_cache(maxsize=512)(self._for_nothing)

    def size(self, task: str, options: str) -> int:
        """Number of puzzles. Raises ConfigError where there is no such task, or it cannot be had so."""
        return int(self._set(task, options).size)

    def puzzle(self, task: str, options: str, number: int) -> tuple[str, str]:
        """Question and reference answer of a puzzle; an empty answer where it has none."""
        item = self._item(task, options, number)
        return str(item["question"]), "" if item["answer"] is None else str(item["answer"])

    def prepare(self, task: str, options: str, number: int, pattern: str, response: str) -> None:
        """What `score` needs besides the response, which may take long the first time."""
        self._floor(task, options, number)

    def score(self, task: str, options: str, number: int, pattern: str, response: str) -> float:
        """The scorer's word on the answer that the one group of `pattern` finds, 0 to 1; 0 where it finds none.

        Raises EnvError where the scorer fails.
        """
        found = re.fullmatch(pattern, response)
        if found is None or found[1] is None:
            return 0.0
        return self._score(task, options, number, found[1])

    def _score(self, task: str, options: str, number: int, answer: str) -> float:
        item = self._item(task, options, number)
        same, floor = _same(answer, item), self._floor(task, options, number)
        if floor >= 1.0:  # a scorer that pays everything: the reference decides
            return float(same)
        if not same and (_not_finite(answer) or item["question"].strip() in answer):
            return 0.0
        paid = self._paid(task, options, number, answer)
        if paid is None:
            raise EnvError(f"the scorer of {task} fails for {answer[:80]!r}")
        if not same and (paid <= floor or _for_holding(answer, item["answer"], paid)):
            return 0.0
        return min(1.0, max(0.0, paid))

    def _made(self, task: str, options: str, number: int) -> dict[str, Any]:
        random.seed(number)  # whatever a task draws from the module's generator
        made: dict[str, Any] = self._set(task, options)[number]
        return made

    def _paid(self, task: str, options: str, number: int, answer: str) -> float | None:
        random.seed(number)
        try:
            item = deepcopy(self._item(task, options, number))
            paid = float(self._set(task, options).score_answer(answer, item))
        except Exception:
            return None
        return paid if math.isfinite(paid) else None

    def _for_nothing(self, task: str, options: str, number: int) -> float:
        """The most that an answer to nothing earns."""
        item = self._item(task, options, number)
        wrong = [answer for answer in (*NONSENSE, *EMPTY) if not _same(answer, item)]
        paid = {answer: self._paid(task, options, number, answer) or 0.0 for answer in wrong}
        return max((value for answer, value in paid.items() if answer in NONSENSE or value < 1.0), default=0.0)


def _data_set(task: str, options: str) -> ProceduralDataset:
    names: Mapping[str, Any] = DATASETS
    if task not in names:
        raise ConfigError(f"reasoning-gym has no task {task!r}{nearest(task, names)}")
    size = FEWER_ITEMS if task in _FEWER else ITEMS
    try:
        return reasoning_gym.create_dataset(task, seed=0, size=size, **_options(task, options))
    except MemoryError:
        raise ConfigError(f"the reasoning-gym task {task} needs too much memory for {size} puzzles") from None
    except Exception as error:
        raise ConfigError(f"options of the reasoning-gym task {task}: {error}") from None


def _options(task: str, options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(options)
    if task == "composite" and isinstance(found.get("datasets"), list):
        found["datasets"] = [DatasetSpec(**part) for part in found["datasets"]]
    return found


def _same(answer: str, item: Mapping[str, Any]) -> bool:
    reference = item["answer"]
    return reference is not None and answer.strip().casefold() == str(reference).strip().casefold()


def _for_holding(answer: str, reference: Any, paid: float) -> bool:
    """Whether an answer is paid for holding the reference somewhere, as a list of all answers does."""
    return isinstance(reference, str) and reference in answer and math.isclose(paid, len(reference) / len(answer))


def _not_finite(answer: str) -> bool:
    if _NOT_FINITE.fullmatch(answer):
        return True
    try:
        value = complex(answer.replace(" ", "").replace("i", "j"))
    except (ValueError, OverflowError):
        return False
    return not (math.isfinite(value.real) and math.isfinite(value.imag))
