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


def canonical(expression: str) -> str:
    """The expression without regard to the order and the grouping of sums and of products. Raises ValueError for what
    is not one.

    `25+3*7`, `(7*3)+25` and `3*7+25` have one form, and so have `9-(4-2)` and `2+9-4`. The form has the same numbers
    and the same value. Only the laws of commutation and association are used: `2*(3+4)` is not `2*3+2*4`, nor is `6*1`
    the same as `6/1`.
    """
    return _form(_parse(expression))


def _form(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    for inward, outward, sign, inverse in ((ast.Add, ast.Sub, "+", "-"), (ast.Mult, ast.Div, "*", "/")):
        there, back = _operands(node, inward, outward)
        if back or len(there) > 1:
            first, rest = (sorted((_part(part, sign) for part in parts), key=_by_size) for parts in (there, back))
            return sign.join(first) + "".join(inverse + part for part in rest)
    raise ValueError("only + - * / of whole numbers are allowed")


def _operands(
    node: ast.expr, inward: type[ast.operator], outward: type[ast.operator]
) -> tuple[list[ast.expr], list[ast.expr]]:
    """Of a sum or product, flattened: what is added or multiplied, and what is subtracted or divided by."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, inward | outward):
            there, back = _operands(left, inward, outward)
            more, less = _operands(right, inward, outward)
            return (there + less, back + more) if isinstance(op, outward) else (there + more, back + less)
    return [node], []


def _part(node: ast.expr, sign: str) -> str:
    """An operand as text: sums in a product need parentheses."""
    return f"({_form(node)})" if sign == "*" and isinstance(node, ast.BinOp) else _form(node)


def _by_size(text: str) -> tuple[int, str]:
    return len(text), text


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
