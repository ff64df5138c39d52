"""Following a file of JSON lines that another process appends to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from espalier.core.errors import DataError
from espalier.core.io.text import parse_json

T = TypeVar("T")


class Tail(Generic[T]):
    """Reads what was appended to `path` since the last look. `read` takes a line's value and its place in the file.

    A line without its end is left for later. A line that `read` refuses is passed over: `broken` names the last of
    them. A file that was replaced or cut, as by a resumed run, is read from its beginning.
    """

    def __init__(self, path: Path, read: Callable[[Any, str], T]) -> None:
        self._path = path
        self._read = read
        self._begin(0)

    def _begin(self, file: int) -> None:
        self._file = file
        self._offset = self._lines = 0
        self.broken = ""

    def look(self) -> tuple[bool, list[T]]:
        """Whether the file begins anew, and its new lines."""
        try:
            with self._path.open("rb") as file:
                stat = os.fstat(file.fileno())
                anew = stat.st_ino != self._file or stat.st_size < self._offset
                if anew:
                    self._begin(stat.st_ino)
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return False, []
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return anew, [found for line in whole.split(b"\n")[:-1] if (found := self._parsed(line)) is not None]

    def _parsed(self, line: bytes) -> T | None:
        self._lines += 1
        if not line.strip():
            return None
        where = f"{self._path}:{self._lines}"
        try:
            return self._read(parse_json(line.decode("utf-8", "replace"), where), where)
        except DataError as error:
            self.broken = str(error)
            return None
