"""Fast reader of text files with integers in columns. Every error names file and line."""

from __future__ import annotations

import csv
import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from espalier.core.errors import DataError
from espalier.core.io.text import text_blocks, text_lines
from espalier.graph.ops.library import count, load, pointer

COMMENTS = ("#", "%")
"""Characters that begin a comment line."""
SEPARATORS = (";", "\t", ",")
"""Column separators besides white space; the first of these that the first line contains is used."""
_WHOLE = re.compile(r"[+-]?[0-9]+")
_LARGEST = np.iinfo(np.int64).max
_DIGITS = 18
"""Numbers of no more digits than this fit into 64 bits."""


class Rows(NamedTuple):
    """values: (k, columns) int64. lines: (k,) int64, the line number of each row in the file."""

    values: Any
    lines: Any


@dataclass(frozen=True)
class Columns:
    """The form of a file. separator: None for white space. count: number of columns per line. wanted: columns to
    read.

    first: the line that determined the form, for messages. names: of the columns, if that line is a header.
    """

    separator: str | None
    count: int
    wanted: tuple[int, ...]
    first: int
    names: tuple[str, ...] = ()


def read_integers(file: Path, columns: int) -> Rows:
    """The integers of `file`, separated by commas, semicolons, tabs or spaces, `columns` per line.

    Blank lines, and lines that begin with `#` or `%`, are skipped. Raises DataError with file and line, also if there
    is no number.
    """
    form = sniffed(file)
    if form is None:
        raise DataError(f"{file} is empty: a line of it holds {columns} whole numbers")
    exact = Columns(form.separator, columns, tuple(range(columns)), form.first)
    values, lines = zip(*number_blocks(file, exact), strict=True)
    return Rows(np.concatenate(values), np.concatenate(lines))


def sniffed(file: Path, pairs: Sequence[tuple[str, str]] = ()) -> Columns | None:
    """The form of the file, from its first line that is not blank or a comment; None if there is none.

    The line is a header if it does not begin with a digit, a sign or another mark, and none of its cells is a number.
    The wanted columns are the two whose names are one of the `pairs`; without such a header, the first two.
    """
    for number, line in text_lines(file):
        if _skipped(line):
            continue
        separator = next((mark for mark in SEPARATORS if mark in line), None)
        cells = _cells(line, separator, f"{file}:{number}")
        header = bool(pairs) and _are_names(cells)
        names = [cell.lower() for cell in cells] if header else []
        wanted = next((pair for pair in pairs if all(names.count(name) == 1 for name in pair)), None)
        places = (0, 1) if wanted is None else (names.index(wanted[0]), names.index(wanted[1]))
        return Columns(separator, len(cells), places, number, tuple(cells) if header else ())
    return None


def number_blocks(file: Path, form: Columns) -> Iterator[Rows]:
    """The wanted columns, block by block. Raises DataError with file and line."""
    above = form.first if form.names else form.first - 1
    for number, block in text_blocks(file):
        start = 0
        while number <= above and start < len(block):
            start, number = block.index(b"\n", start) + 1, number + 1
        if block := block[start:]:
            values = _digits(block, form)
            if values is None:
                yield _by_line(file, number, block, form)
            else:
                yield Rows(values, np.arange(number, number + len(values)))


def _digits(block: bytes, form: Columns) -> Any:
    """The (k, wanted) numbers of a block in which those columns hold nothing but digits, by a C kernel; None of any
    other block, and without a compiler.
    """
    kernels = load("text")
    if kernels is None:
        return None
    slots = np.full(form.count, -1, np.int64)
    slots[list(form.wanted)] = np.arange(len(form.wanted))
    out = np.empty((block.count(b"\n"), len(form.wanted)), np.int64)
    kernels.whole_numbers.restype = ctypes.c_int64
    mark = ctypes.c_char((form.separator or " ").encode())
    sizes = (count(len(block)), mark, count(form.count), pointer(slots), count(len(form.wanted)))
    return out if kernels.whole_numbers(block, *sizes, pointer(out)) == len(out) else None


def _by_line(file: Path, first: int, block: bytes, form: Columns) -> Rows:
    values: list[list[int]] = []
    lines: list[int] = []
    for number, line in enumerate(block.decode().removesuffix("\n").split("\n"), first):
        if _skipped(line):
            continue
        cells = _cells(line, form.separator, f"{file}:{number}")
        if len(cells) != form.count:
            expected = f"{file}:{form.first} has {form.count}" if number != form.first else f"{form.count} are needed"
            raise DataError(f"{file}:{number}: {len(cells)} column{'s' * (len(cells) != 1)}, where {expected}")
        values.append([_number(cells[place], f"{file}:{number}") for place in form.wanted])
        lines.append(number)
    return Rows(np.array(values, np.int64).reshape(-1, len(form.wanted)), np.array(lines, np.int64))


def _skipped(line: str) -> bool:
    start = line.lstrip()
    return not start or start.startswith(COMMENTS)


def _cells(line: str, separator: str | None, where: str) -> list[str]:
    if '"' not in line:
        return line.split() if separator is None else [cell.strip() for cell in line.split(separator)]
    line = " ".join(line.split()) if separator is None else line
    try:
        (cells,) = csv.reader([line], delimiter=separator or " ", skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise DataError(f"{where}: its quotes cannot be read ({error})") from None
    return [cell.strip() for cell in cells]


def _are_names(cells: Sequence[str]) -> bool:
    begins = not cells[0] or cells[0][0].isalpha() or cells[0][0] == "_"
    return begins and any(cells) and not any(_WHOLE.fullmatch(cell) for cell in cells)


def _number(cell: str, where: str) -> int:
    if not _WHOLE.fullmatch(cell):
        what = "an empty cell" if not cell else f"{shorter(cell)!r}"
        raise DataError(f"{where}: {what} is not a whole number")
    if len(cell) > _DIGITS and (len(cell) > 2 * _DIGITS or abs(int(cell)) > _LARGEST):
        raise DataError(f"{where}: {shorter(cell)} is too large a number")
    return int(cell)


def shorter(text: str, most: int = 40) -> str:
    """Text shortened for messages."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
