"""Reading text files of users: byte-order marks, any line end, and errors that name file and line."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from espalier.core.errors import DataError

_MARKS = (  # longest first: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """The whole of a text file, without a byte-order mark, with line feeds for line ends of any kind.

    UTF-8 unless a byte-order mark says UTF-16 or UTF-32. Raises DataError, naming file and line, where the bytes are
    not text of that encoding, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            text = _decode(_utf8(file, path).read(), "utf-8", path, 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines of a text file, without line ends. Reads and raises as `read_text` does.

    A line ends at a line feed, a carriage return or both; never at the other characters that `str.splitlines` takes.
    """
    try:
        with path.open("rb") as file:
            yield from lines_of(file, path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def lines_of(file: BinaryIO, path: Path) -> Iterator[tuple[int, str]]:
    """`text_lines` of an open file, called `path` in errors."""
    number = 0
    for raw in _utf8(file, path):
        text = _decode(raw, "utf-8", path, number + 1).replace("\r\n", "\n").replace("\r", "\n")
        for line in text.removesuffix("\n").split("\n"):
            number += 1
            yield number, line


def text_blocks(path: Path, size: int = 1 << 24) -> Iterator[tuple[int, bytes]]:
    """A text file by blocks of whole lines, for files of millions of them: the number of a block's first line (from 1),
    and its UTF-8, about `size` bytes, each line ended by a line feed. Reads and raises as `read_text` does.
    """
    number = 1
    try:
        with path.open("rb") as opened:
            file = _utf8(opened, path)
            while raw := file.read(size):
                block = (raw + file.readline()).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                block += b"" if block.endswith(b"\n") else b"\n"
                if not block.isascii():
                    _decode(block, "utf-8", path, number)
                yield number, block
                number += block.count(b"\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def read_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers (from 1) and values of a file of JSON lines. Blank lines are skipped. Errors as in `parse_json`."""
    for number, line in text_lines(path):
        if line.strip():
            yield number, parse_json(line, f"{path}:{number}")


def read_json(path: Path) -> Any:
    """The value of a JSON file. Errors as in `read_text` and `parse_json`."""
    return parse_json(read_text(path), str(path))


def read_object(path: Path) -> dict[str, Any]:
    """`read_json` of a file that holds an object. Raises DataError for another value too."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path}: this must be a JSON object, not {type(value).__name__}")
    return value


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text. `where` begins the message of every error, as in `file:line`.

    Raises DataError where the text is not JSON, is nested too deeply, or holds half a surrogate pair (such a string
    could be neither printed nor encoded later).
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error})") from None
    except RecursionError:
        raise DataError(f"{where}: the JSON is nested too deeply") from None
    if "\\u" in text and (half := _lone_surrogate(value)):
        raise DataError(f"{where}: \\u{half:04x} is half a character (a lone surrogate), which no text may hold")
    return value


def as_utf8(content: bytes) -> bytes:
    """Text in the encoding that its byte-order mark names, as UTF-8 without the mark; other content as it is.

    For files that may be text or binary. What is no text of that encoding becomes U+FFFD.
    """
    encoding = _encoding(content)
    if encoding == "utf-8-sig":  # the rest may still be binary
        return content.removeprefix(codecs.BOM_UTF8)
    return content if encoding == "utf-8" else content.decode(encoding, "replace").encode()


def _utf8(file: BinaryIO, path: Path) -> BinaryIO:
    """The rest of a file in UTF-8, after its byte-order mark."""
    encoding = _encoding(file.read(4))
    file.seek(len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0)
    return file if encoding.startswith("utf-8") else io.BytesIO(_decode(file.read(), encoding, path, 1).encode())


def _encoding(start: bytes) -> str:
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def _decode(raw: bytes, encoding: str, path: Path, line: int) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line += error.object[: error.start].decode(encoding, "ignore").count("\n")
        byte = f"byte 0x{error.object[error.start]:02x}" if error.start < len(error.object) else "the end"
        advice = "; if the file is Latin-1: iconv -f latin1 -t utf-8" if encoding == "utf-8" else ""
        raise DataError(f"{path}:{line}: {byte} is not {encoding.removesuffix('-sig').upper()} text{advice}") from None


def _lone_surrogate(value: Any) -> int | None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return ord(error.object[error.start])
    return None
