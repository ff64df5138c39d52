"""Exact integer arithmetic of expressions that a model wrote: parsed, never executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from fractions import Fraction

LONGEST = 200
"""Characters that an expression may have."""
_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(expression: str) -> Fraction:
    """The value of an expression of whole numbers, `+ - * /` and parentheses. Raises ValueError for anything else."""
    return _value(_parse(expression))


def numbers(expression: str) -> list[int]:
    """The whole numbers in an expression, from left to right. Raises ValueError where it is not one."""
    return list(_constants(_parse(expression)))


def _parse(expression: str) -> ast.expr:
    if len(expression) > LONGEST or not set(expression) <= set("0123456789+-*/() "):
        raise ValueError("not an expression of whole numbers, + - * / and parentheses")
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError("the expression cannot be read") from None


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int(number)):
            return Fraction(number)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            try:
                return _OPERATIONS[type(op)](_value(left), _value(right))
            except ZeroDivisionError:
                raise ValueError("division by zero") from None
    raise ValueError("only + - * / of whole numbers are allowed")


def _constants(node: ast.expr) -> Iterator[int]:
    match node:
        case ast.Constant(value=int(number)):
            yield number
        case ast.BinOp(left=left, right=right):
            yield from _constants(left)
            yield from _constants(right)
        case _:
            raise ValueError("only + - * / of whole numbers are allowed")
