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
_KEPT = 10**9
"""Largest number that is kept as it is; `H120` stands for one of 120 digits."""
_NUMBER = r"H?[0-9]+"
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
    return math.inf if number.startswith("H") or len(number) > len(str(_KEPT)) else int(number)


def _digits(number: str) -> float:
    return int(number[1:]) if number.startswith("H") else math.log10(max(1, int(number[:15]))) + len(number[15:])


def _power(found: re.Match[str]) -> str:
    base, exponent = found[1], found[2]
    if _size(base) <= 1:
        return base if _size(exponent) else "1"
    return _kept(_digits(base) * _size(exponent), lambda: int(base) ** int(exponent))


def _factorial(found: re.Match[str]) -> str:
    size = _size(found[1])
    if size > DIGITS:
        raise TooLargeError
    return _kept(math.lgamma(size + 1) / math.log(10), lambda: math.factorial(int(size)))


def _kept(digits: float, value: Callable[[], int]) -> str:
    if digits > DIGITS:
        raise TooLargeError
    return str(value()) if digits < math.log10(_KEPT) else f"H{math.ceil(digits)}"
