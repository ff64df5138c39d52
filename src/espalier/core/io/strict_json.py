"""JSON that every other program can read again: RFC 8259, and no value that could not be written or encoded later."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

DEPTH = 128
"""Levels of lists and objects. Python's own reader and writer give up at about 1,000, depending on who calls."""

BODY_PARTS = 2**16
"""Most parts of a request's body: looking at each takes up to 20 microseconds, and a few megabytes hold millions."""

_FALLIBLE = (float, str, list, dict)
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NAMED = 200
"""Characters that are kept of the way to a value: each value below has a way of its own."""


def loads(text: str | bytes, *, most: float = math.inf) -> Any:
    """The value of a JSON text, in UTF-8 or with a byte-order mark.

    Raises ValueError, whose message says where in the value and what, for a text that is not JSON, NaN and infinity
    (written so, or as a number beyond fp64), integers of over 4,300 digits, half a surrogate pair, more than `DEPTH`
    levels, and more than `most` parts (see `has_more_parts`), which are counted before anything is made of them.
    """
    if has_more_parts(text, most):
        raise ValueError(f"more than {most:,} texts, keys, lists and objects")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"more than {DEPTH} levels deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"not {error.encoding.upper()}: byte {error.start} is 0x{error.object[error.start]:02x}"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    _check(value)
    return value


def has_more_parts(text: str | bytes, most: float) -> bool:
    """Whether a JSON text holds more than `most` texts, keys, lists and objects, itself not counted. Reads nothing."""
    if most == math.inf:
        return False
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    rest, texts = _TEXT.subn(b"", raw, count=int(most) + 2)
    return texts + rest.count(b"[") + rest.count(b"{") - 1 > most


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _check(value: Any) -> None:
    """Walk level by level, so that depth costs no stack."""
    level: list[tuple[str, Any]] = [("", value)]
    depth = 0
    while level:
        below: list[tuple[str, Any]] = []
        for path, item in level:
            if isinstance(item, str):
                _check_text(item, path)
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError(f"{_at(path)}a number is too large for fp64")
            elif isinstance(item, (list, dict)):
                if depth == DEPTH:
                    raise ValueError(f"more than {DEPTH} levels deep")
                below += _parts(path, item)
        level, depth = below, depth + 1


def _parts(path: str, item: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    """What is in a list or an object and may be at fault, with the way to it."""
    before = f"{path[:_NAMED]}." if path else ""
    if isinstance(item, list):
        yield from ((f"{before}{i}", part) for i, part in enumerate(item) if isinstance(part, _FALLIBLE))
        return
    for key, part in item.items():
        _check_text(key, f"a key of {path or 'the object'}")
        if isinstance(part, _FALLIBLE):
            yield f"{before}{key[:_NAMED]}", part


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise ValueError(f"{_at(path)}\\u{half:04x} is half a character (a lone surrogate)") from None


def _at(path: str) -> str:
    return f"{path[:_NAMED]}: " if path else ""
