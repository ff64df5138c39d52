"""A file of JSON lines that grows: each line is written in one piece, and a line that a kill cut short is removed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from espalier.core.io.files import write_atomic
from espalier.core.io.text import lines_of, parse_json


class JsonLines:
    """Appends values to the file `path`, which is made with the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole = False

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.path.stat().st_size if self.path.exists() else 0

    def append(self, value: Any) -> None:
        """Write one line, by one call of the system."""
        self._tidy()
        with self.path.open("ab", buffering=0) as file:
            file.write(_line(value))

    def keep(self, wanted: Callable[[Any], bool]) -> None:
        """Remove the lines whose values are not wanted, atomically."""
        if self.path.exists():
            write_atomic(self.path, b"".join(_line(value) for _, value in read_lines(self.path) if wanted(value)))
            self._whole = True

    def _tidy(self) -> None:
        """Remove what follows the last whole line, once."""
        if not self._whole and self.path.exists():
            content = self.path.read_bytes()
            if content and not content.endswith(b"\n"):
                write_atomic(self.path, content[: content.rfind(b"\n") + 1])
        self._whole = True


def read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Numbers (from 1) and values of the whole lines; none where there is no file. Raises DataError by file and line.

    A last line without its end is left out: its writer may be at work.
    """
    if not path.exists():
        return
    for number, line in lines_of(io.BytesIO(whole_lines(path.read_bytes())), path):
        if line.strip():
            yield number, parse_json(line, f"{path}:{number}")


def whole_lines(content: bytes) -> bytes:
    """Without a last line that has no end, as its writer may be at work or was killed."""
    begin = max(content.rfind(b"\n"), content.rfind(b"\r")) + 1
    zeros = len(content) - begin - len(content[begin:].lstrip(b"\0"))  # after a line feed of UTF-16
    return content[: begin + zeros]


def _line(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")
