"""Changes of text files and of binary ones. Each is drawn from a seed; see `oracle.Change`."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from random import Random

from oracle import Change

Changed = tuple[bytes, int | None] | None

ODD = (
    *(
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-0",
        "1e3",
        "0x10",
        "99999999999999999999",
        "-1",
        "0.5",
        "1e-320",
        "+1",
        "٣",
        "1_0",
    ),
    *(
        "",
        "null",
        "true",
        '"',
        "'",
        "é",
        "\u2028",
        "\x00",
        "\x85",
        "\ufeff",
        "\x0c",
        "\x1c",
        "😀",
        "{}",
        "[]",
        "\\ud800",
    ),
)
"""Put in the place of a number, or anywhere."""
NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
SIZES = (
    b"\0" * 4,
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\x01\0\0\0",
    b"\xff" * 8,
    b"\0" * 8,
    b"\0\0\0\0\0\0\xf8\x7f",
)
"""Written over binary numbers: nothing, the most, the least, NaN."""


def named(name: str, change: Callable[[bytes, Random], Changed]) -> Change:
    """The change, called so in the table of faults."""
    change.__name__ = name
    return change


# ---- neutral changes of text


def encoded(encoding: str, mark: bytes) -> Change:
    return named(encoding, lambda content, _: (mark + content.decode().encode(encoding), None))


def ended(name: str, end: bytes) -> Change:
    return named(name, lambda content, _: (content.replace(b"\n", end), None))


def unended(content: bytes, _: Random) -> Changed:
    """Without the end of the last line."""
    return content.rstrip(b"\n"), None


MARK = encoded("utf-8", codecs.BOM_UTF8)
ENCODINGS = (MARK, encoded("utf-16-le", codecs.BOM_UTF16_LE), encoded("utf-16-be", codecs.BOM_UTF16_BE))
LINE_ENDS = (ended("crlf", b"\r\n"), ended("cr", b"\r"), unended)
NEUTRAL_TEXT: Sequence[Change] = (*ENCODINGS, *LINE_ENDS)


def blank_after(content: bytes, rng: Random) -> Changed:
    """A blank line somewhere below the first."""
    lines = content.split(b"\n")
    lines.insert(rng.randrange(1, len(lines)), rng.choice((b"", b" ")))
    return b"\n".join(lines), None


def reordered(separator: bytes = b",") -> Change:
    """The columns in another order, the header with them."""

    def change(content: bytes, rng: Random) -> Changed:
        rows = [line.split(separator) for line in content.rstrip(b"\n").split(b"\n")]
        order = list(range(len(rows[0])))
        rng.shuffle(order)
        return b"\n".join(separator.join(row[k] for k in order) for row in rows) + b"\n", None

    return named("columns reordered", change)


def quoted(content: bytes, _: Random) -> Changed:
    """Every cell of a CSV in quotes."""
    rows = [line.split(b",") for line in content.rstrip(b"\n").split(b"\n")]
    return b"\n".join(b",".join(b'"' + cell + b'"' for cell in row) for row in rows) + b"\n", None


def spaced(content: bytes, rng: Random) -> Changed:
    """Other white space between words."""
    return content.replace(b" ", rng.choice((b"  ", b"\t"))), None


# ---- damage of text


def bad_byte(content: bytes, rng: Random) -> Changed:
    """A byte that is in no UTF-8 text."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + b"\xff" + content[place:], content[:place].count(b"\n") + 1


def _row(content: bytes, rng: Random, first: int) -> tuple[list[bytes], int]:
    """Lines, and the index of one from `first` (0 for the first line) on that is not blank."""
    lines = content.rstrip(b"\n").split(b"\n")
    return lines, rng.choice([k for k, line in enumerate(lines) if k >= first and line.strip()])


def ragged(separator: bytes, first: int = 1, more: bool = True) -> Change:
    """A row with a cell less or, where `more`, one more."""

    def change(content: bytes, rng: Random) -> Changed:
        lines, at = _row(content, rng, first)
        if more and rng.random() < 0.5:
            lines[at] += separator + b"7"
        else:
            lines[at] = lines[at].rpartition(separator)[0]
        return b"\n".join(lines) + b"\n", at + 1

    return named("ragged", change)


def mistyped(separator: bytes, columns: Sequence[int], first: int = 1) -> Change:
    """A word in the place of a number."""

    def change(content: bytes, rng: Random) -> Changed:
        lines, at = _row(content, rng, first)
        cells = lines[at].split(separator)
        cells[rng.choice([k for k in columns if k < len(cells)])] = rng.choice(
            (b"x", b"1.2.3", b"--1", b"None", b"0x1g")
        )
        lines[at] = separator.join(cells)
        return b"\n".join(lines) + b"\n", at + 1

    return named("mistyped", change)


def value_of(key: bytes, values: Sequence[bytes], *, lines: bool = False) -> Change:
    """Another value of a key of JSON. lines: of JSON lines, where an error must name the line."""
    pattern = re.compile(rb'("' + re.escape(key) + rb'": )("(?:[^"\\]|\\.)*"|\[[^\]]*\]|[^,}\n]*)')

    def change(content: bytes, rng: Random) -> Changed:
        found = rng.choice(list(pattern.finditer(content)))
        line = content[: found.start()].count(b"\n") + 1
        return content[: found.end(1)] + rng.choice(values) + content[found.end() :], line if lines else None

    return named(f"value of {key.decode()}", change)


# ---- any change of text


def odd_number(content: bytes, rng: Random) -> Changed:
    """One of `ODD` in the place of a number."""
    found = list(NUMBER.finditer(content))
    if not found:
        return None
    one = rng.choice(found)
    return content[: one.start()] + rng.choice(ODD).encode() + content[one.end() :], None


def odd_insert(content: bytes, rng: Random) -> Changed:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(ODD).encode() + content[place:], None


def line_work(content: bytes, rng: Random) -> Changed:
    """A line twice, gone, or in the place of another."""
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            lines.insert(one, lines[other])
        case 1:
            del lines[one]
        case _:
            lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines), None


def long_token(content: bytes, rng: Random) -> Changed:
    place = rng.randrange(len(content) + 1)
    token = rng.choice((b"9" * 5000, b"[" * 50_000, b"{" * 5000, b"a" * 20_000, b'{"a":' * 20_000, b"- " * 5000))
    return content[:place] + token + content[place:], None


# ---- changes of bytes


def byte_work(content: bytes, rng: Random) -> Changed:
    """A byte set, gone or added, one to three times."""
    out = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(out)) if out else 0
        match rng.randrange(4):
            case 0 if out:
                out[place] ^= 1 << rng.randrange(8)
            case 1 if out:
                out[place] = rng.randrange(256)
            case 2 if out:
                del out[place]
            case _:
                out.insert(place, rng.randrange(256))
    return bytes(out), None


def bit(content: bytes, rng: Random) -> Changed:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :], None


def size_work(content: bytes, rng: Random) -> Changed:
    """One of `SIZES` over some bytes, more often near the beginning, where headers are."""
    size = rng.choice(SIZES)
    place = rng.randrange(max(min(len(content), rng.choice((64, 512, len(content)))) - len(size), 1))
    return content[:place] + size + content[place + len(size) :], None


def cut(content: bytes, rng: Random) -> Changed:
    """The end is gone."""
    return content[: rng.randrange(len(content))], None


def hole(content: bytes, rng: Random) -> Changed:
    """Some bytes in the middle are gone."""
    place = rng.randrange(len(content))
    return content[:place] + content[place + rng.randint(1, 64) :], None


def grown(content: bytes, rng: Random) -> Changed:
    """More bytes at the end."""
    return content + rng.choice((b"\0", b"\n", b"\xff" * 8, b"\0" * 4096, content)), None


LINES: Sequence[Change] = (*NEUTRAL_TEXT, blank_after)
"""Leaves text made of lines as it was."""
TABLE: Sequence[Change] = (*LINES, quoted, reordered())
"""Leaves a CSV with named columns as it was."""
OTHER_TEXT: Sequence[Change] = (byte_work, odd_number, odd_number, odd_insert, line_work, long_token, cut)
BINARY: Sequence[Change] = (bit, byte_work, size_work, size_work, cut, hole, grown)
