"""What the maths reward's workers do: math-verify's judgement, made strict where it rounds to nothing."""

from __future__ import annotations

import logging
import re
from typing import Any

import sympy  # type: ignore[import-untyped,unused-ignore]
from math_verify import parse, verify

from espalier.rewards.mathematics.magnitude import explodes

APPROXIMATE = sympy.Rational(1, 10**5)
"""Largest relative difference between a number and the decimal that stands for it, such as 1/3 and 0.333333."""
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_REWRITTEN = (
    (re.compile(r"\\\$|[€£¥₹]"), ""),
    (re.compile(r"\{,\}(?=[0-9]{3})|(?<=[0-9]),?\\[,;:! ](?=[0-9])|(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3})"), ""),
    (re.compile(r"(?<![0-9.])([1-9][0-9]{0,2}(?: [0-9]{3})+)(?![0-9])"), lambda m: m[1].replace(" ", "")),
    (
        re.compile(r"(?<![A-Za-z0-9.])([0-9]+(?:\.[0-9]+)?)[eE]([-+]?[0-9]{1,4})(?![A-Za-z0-9])"),
        r"\1\\times 10^{\2}",
    ),
    (
        re.compile(rf"(?<=[0-9])\s*(\\(?:text|mathrm|mbox)\s*\{{)?\s*({'|'.join(_SCALES)})\b", re.IGNORECASE),
        lambda m: rf"\times 10^{{{_SCALES[m[2].lower()]}}}{m[1] or ''}",
    ),
    (re.compile(r"(?<=[0-9])\.(?=\s*\}?\s*$)"), ""),
    (re.compile(r"(?<![0-9./])([0-9]+) ([0-9]+)/([0-9]+)(?![0-9/])"), r"\1\\frac{\2}{\3}"),
)


class Equivalence:
    """Judges whether an answer is mathematically equal to a reference."""

    def __init__(self) -> None:
        logging.getLogger("math_verify").setLevel(logging.CRITICAL)
        parse("$1$")  # its grammar is built with the first call

    def right(self, reference: str, answer: str, tolerance: float = 0.0) -> bool:
        """Whether `answer` equals `reference`, or is a number within that share of it; a bare reference is read as
        LaTeX first.
        """
        reference, answer = _plain(reference), _plain(answer)
        if _squeezed(reference) == _squeezed(_bare(answer)):
            return True
        if explodes(reference) or explodes(answer):
            return False
        bare = "$" not in reference and "\\boxed" not in reference
        expected = (parse(f"${reference}$") if bare else []) or parse(reference)
        found = parse(answer)
        if tolerance and expected and found and near(expected[0], found[0], tolerance):
            return True
        if not expected or not found or not verify(expected, found):
            return False
        percent = "%" in reference or "%" in answer
        return alike(expected[0], found[0], 100 if percent else 1)


def near(expected: Any, found: Any, tolerance: float) -> bool:
    """Whether two values are numbers, and the second is as far from the first as that share of it at most."""
    expected, found = _value(expected), _value(found)
    if not _is_number(expected) or not _is_number(found):
        return False
    share = sympy.Rational(str(tolerance))
    return bool(abs(sympy.N(found - expected, 30)) <= share * abs(sympy.N(expected, 30)))


def alike(expected: Any, found: Any, scale: int = 1) -> bool:
    """Whether two values that math-verify calls equal are so at every size: it compares six decimals.

    Numbers are equal, or one of them is a decimal close to what no decimal can be. `scale`: see percentages. What is
    neither a number nor a collection of them is left to math-verify.
    """
    expected, found = _value(expected), _value(found)
    if _is_number(expected) and _is_number(found):
        return any(_close(expected * factor, found) for factor in {1, scale, sympy.Rational(1, scale)})
    if type(expected) is not type(found) or not _is_collection(expected):
        return True
    ours, theirs = list(expected.args), list(found.args)
    if len(ours) != len(theirs):
        return True
    if isinstance(expected, sympy.FiniteSet):
        return all(any(alike(one, other, scale) for other in theirs) for one in ours)
    return all(alike(one, other, scale) for one, other in zip(ours, theirs, strict=True))


def _plain(text: str) -> str:
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return text.strip()


def _bare(answer: str) -> str:
    return answer[7:-1] if answer.startswith("\\boxed{") and answer.endswith("}") else answer


def _squeezed(text: str) -> str:
    return "".join(text.strip("$").split())


def _value(value: Any) -> Any:
    value = value.rhs if isinstance(value, sympy.Eq) else value
    return value.doit() if _is_number(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, sympy.Expr) and not value.free_symbols and value.is_infinite is not True


def _is_collection(value: Any) -> bool:
    return isinstance(value, (sympy.FiniteSet, sympy.Tuple, sympy.Interval))


def _close(one: Any, other: Any) -> bool:
    if one == other or sympy.simplify(one - other) == 0:
        return True
    if _is_decimal(one) and _is_decimal(other):
        return bool(_exact(one) == _exact(other))
    size = sympy.Max(abs(sympy.N(one, 30)), abs(sympy.N(other, 30)))
    return bool(abs(sympy.N(one, 30) - sympy.N(other, 30)) <= APPROXIMATE * size)


def _exact(value: Any) -> Any:
    return sympy.Rational(str(value)) if isinstance(value, sympy.Float) else sympy.nsimplify(value, rational=True)


def _is_decimal(value: Any) -> bool:
    """Whether decimals can write it exactly."""
    if not value.is_rational and not value.has(sympy.Float):
        return False
    exact = _exact(value)
    if not isinstance(exact, sympy.Rational):
        return False
    rest = exact.q
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return bool(rest == 1)
