"""Expressions that nothing can work out: numbers with too many digits, brackets nested too deeply."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import accumulate

DIGITS = 5000
"""Decimal digits of the largest number that is worked out."""
DEEPEST = 50
"""Brackets within each other."""
_HUGE = "H"
"""Stands for a number that is larger than what is kept as digits, and not yet too large."""
_KEPT = 10**9
_NUMBER = rf"(?:[0-9]+|{_HUGE})"
_GROUP = re.compile(rf"(?:\\left)?[({{]\s*({_NUMBER})\s*(?:\\right)?[)}}]")
_POWER = re.compile(rf"({_NUMBER})\s*(?:\^|\*\*)\s*\+?({_NUMBER})(?![0-9]|\s*(?:\^|\*\*|!))")
_FACTORIAL = re.compile(rf"({_NUMBER})\s*!")
_EXPONENT = re.compile(rf"(?:\^|\*\*)\s*\{{?\s*[-+]?\s*({_NUMBER})")
_BINOMIAL = re.compile(rf"\\[dt]?binom\s*\{{?\s*({_NUMBER})")


class TooLargeError(ValueError):
    """A number of more than `DIGITS` digits."""


def explodes(expression: str) -> bool:
    """Whether an expression, LaTeX or plain, is nested too deeply or holds a number of more than `DIGITS` digits.

    Found are powers and factorials of numbers, large exponents of anything, and binomials; not large sums, which take
    as long as they are let.
    """
    if _depth(expression) > DEEPEST:
        return True
    text = re.sub(r"(?<=[0-9]),(?=[0-9]{3})|\\[,!;: ]", "", expression)
    try:
        while True:
            smaller = _FACTORIAL.sub(_factorial, _POWER.sub(_power, _GROUP.sub(r" \1", text)))
            if smaller == text:
                break
            text = smaller
    except TooLargeError:
        return True
    exponents = (found[1] for found in _EXPONENT.finditer(text))
    choices = (found[1] for found in _BINOMIAL.finditer(text))
    return any(_size(exponent) > DIGITS for exponent in exponents) or any(_size(top) > _KEPT for top in choices)


def _depth(expression: str) -> int:
    depths = accumulate({"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(sign, 0) for sign in expression)
    return max(depths, default=0)


def _size(number: str) -> float:
    return math.inf if number == _HUGE or len(number) > len(str(_KEPT)) else int(number)


def _power(found: re.Match[str]) -> str:
    base, exponent = found[1], found[2]
    if base in ("0", "1") or exponent in ("0", "1"):
        return base if exponent == "1" else "1"
    digits = DIGITS / 10 if base == _HUGE else math.log10(max(2, int(base[:15]))) + max(0, len(base) - 15)
    if digits * _size(exponent) > DIGITS:
        raise TooLargeError
    return _kept(base, lambda number: number ** int(exponent))


def _factorial(found: re.Match[str]) -> str:
    if _size(found[1]) > DIGITS:
        raise TooLargeError
    return _kept(found[1], math.factorial)


def _kept(number: str, function: Callable[[int], int]) -> str:
    if number == _HUGE:
        return _HUGE
    value = function(int(number))
    return str(value) if value <= _KEPT else _HUGE
