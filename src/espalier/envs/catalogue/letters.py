"""The language of `programs`: letters that change numbers, a bounded interpreter, and a count of right programs.

A program is in canonical form if no letter leaves all numbers as they are (`s` at one), `i` and `m` never stand side by
side, and no `d` follows a `t`. Every program that runs has one such form, with the same result and not longer. Other
programs with the same result are other solutions, `id` and `dii` among them, and longer detours such as `dmm` at two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

LARGEST = 999
"""Largest number that may occur; the smallest is zero."""
OPERATIONS: Mapping[str, Callable[[int], int]] = {
    "d": lambda number: 2 * number,
    "i": lambda number: number + 1,
    "m": lambda number: number - 1,
    "s": lambda number: number * number,
    "t": lambda number: 3 * number,
}
"""`d` doubles, `t` triples, `s` squares, `i` adds one, `m` subtracts one. No two numbers give the same result."""
LETTERS = "".join(OPERATIONS)
Numbers = tuple[int, ...]
"""One number for each example."""
Level = Mapping[Numbers, Mapping[str, int]]
"""How many programs of one length there are, by the numbers at one end and by the letter at that end."""

_NONE = -1
_AFTER: Mapping[str, Sequence[int]] = {
    letter: [result if 0 <= (result := operation(number)) <= LARGEST else _NONE for number in range(LARGEST + 1)]
    for letter, operation in OPERATIONS.items()
}
"""What each letter makes of each number; `_NONE` out of bounds."""
_BEFORE: Mapping[str, Sequence[int]] = {
    letter: [results.index(number) if number in results else _NONE for number in range(LARGEST + 1)]
    for letter, results in _AFTER.items()
}
"""Of which number each letter makes each; `_NONE` for no number."""
_OPPOSITE = ("im", "mi")
_NOT_CANONICAL = (*_OPPOSITE, "td")
"""Pairs of neighbours that a canonical form does not have: at most one for each letter on the left, or on the right."""
_LEFT_OF = {pair[1]: pair[0] for pair in _NOT_CANONICAL}
_RIGHT_OF = {pair[0]: pair[1] for pair in _NOT_CANONICAL}


def apply(letter: str, numbers: Numbers) -> Numbers | None:
    """The numbers after one letter; None where one of them is out of bounds."""
    if max(numbers) > LARGEST:
        return None
    after = tuple([_AFTER[letter][number] for number in numbers])
    return None if _NONE in after else after


def run(program: str, numbers: Numbers) -> Numbers | None:
    """The numbers after a program; None for an unknown letter, or where a number is out of bounds on the way."""
    found: Numbers | None = numbers
    for letter in program:
        if letter not in OPERATIONS or found is None:
            return None
        found = apply(letter, found)
    return found


def reduced(program: str, numbers: Numbers) -> str:
    """The canonical form of a program that starts at these numbers. Raises ValueError where it does not run."""
    if run(program, numbers) is None:
        raise ValueError(f"{program!r} does not run")
    kept = ""
    for letter in program:
        after = apply(letter, numbers) or numbers
        if after == numbers:
            continue
        numbers = after
        if kept[-1:] + letter in _OPPOSITE:
            kept = kept[:-1]
        elif letter == "d":
            stem = kept.rstrip("t")
            kept = stem + letter + kept[len(stem) :]
        else:
            kept += letter
    return kept


def solutions(inputs: Numbers, outputs: Numbers, longest: int) -> list[int]:
    """How many canonical programs lead from the inputs to the outputs, by their length: 1 to `longest` letters.

    Exact, by dynamic programming from both ends: programs of the first half of the letters are counted by what they
    reach, those of the second half by what they start from.
    """
    half = (longest + 1) // 2
    first, second = levels(inputs, half), levels(outputs, longest - half, back=True)
    return [_joined(first[min(size, half)], second[max(0, size - half)]) for size in range(1, longest + 1)]


@lru_cache(maxsize=64)
def levels(start: Numbers, longest: int, *, back: bool = False) -> tuple[Level, ...]:
    """Canonical programs of 0 to `longest` letters that lead from `start`, or to it: a level for each length.

    They are counted by the numbers at their other end, their results or with `back` their inputs, and by the letter
    there. A letter leads from one number only, and so adds one count to those of its results.
    """
    tables, apart = (_BEFORE, _RIGHT_OF) if back else (_AFTER, _LEFT_OF)
    found: list[Level] = [{start: {"": 1}}]
    for _ in range(longest):
        level: dict[Numbers, dict[str, int]] = {}
        for numbers, ends in found[-1].items():
            total = sum(ends.values())
            for letter, table in tables.items():
                other = tuple([table[number] for number in numbers])
                count = total - ends.get(apart.get(letter, "-"), 0)
                if count and other != numbers and _NONE not in other:
                    level.setdefault(other, {})[letter] = count
        found.append(level)
    return tuple(found)


def _joined(first: Level, second: Level) -> int:
    """How many programs there are, of which one half is counted in each."""
    return sum(
        count * more
        for numbers in (first if len(first) < len(second) else second)
        if numbers in first and numbers in second
        for last, count in first[numbers].items()
        for letter, more in second[numbers].items()
        if last + letter not in _NOT_CANONICAL
    )


def results(number: int, longest: int) -> Counter[int]:
    """How many of all programs of 1 to `longest` letters, canonical or not, lead from one number to which."""
    total: Counter[int] = Counter()
    level: Counter[int] = Counter({number: 1})
    for _ in range(longest):
        after: Counter[int] = Counter()
        for reached, count in level.items():
            for table in _AFTER.values():
                if table[reached] != _NONE:
                    after[table[reached]] += count
        total.update(after)
        level = after
    return total
