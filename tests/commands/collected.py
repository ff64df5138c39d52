"""The commands that README and the documentation show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHELL = ("console", "bash", "sh", "shell")
_FENCE = re.compile(r"^\s*```+\s*(\w*)")
_COMMENT = re.compile(r"\s+#\s.*$")
_CELL = re.compile(r"\|\s*`((?:espalier|python|make) [^`]*)`\s*(?=\|)")
"""A cell of a table that is one command."""


def pages(root: Path = REPOSITORY) -> list[Path]:
    """README and every page of the documentation."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def commands_of(text: str) -> Iterator[str]:
    """Commands of shell blocks, and table cells that hold one command; comments and the final `&` are left out.

    In a block with prompts (`$ `) only lines with one are commands, the others are output.
    """
    block: list[str] | None = None
    for line in text.splitlines():
        if fence := _FENCE.match(line):
            if block is not None:
                yield from _of_block(block)
                block = None
            else:
                block = [] if fence[1] in SHELL else ["$ "]
        elif block is not None:
            block.append(line.strip())
        else:
            yield from cells_of(line)


def cells_of(text: str) -> Iterator[str]:
    """Commands that fill a cell of a table."""
    yield from (found.replace("\\|", "|") for found in _CELL.findall(text))


def _of_block(lines: list[str]) -> Iterator[str]:
    if lines[:1] == ["$ "]:  # of another language
        return
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    prompted = [line.removeprefix("$ ") for line in joined if line.startswith("$ ")]
    for line in prompted or joined:
        command = _COMMENT.sub("", line).removesuffix("&").strip()
        if command and not command.startswith("#"):
            yield command


def collected(root: Path = REPOSITORY) -> dict[str, list[str]]:
    """Every command, with the pages that show it."""
    found: dict[str, list[str]] = {}
    for page in pages(root):
        for command in commands_of(page.read_text(encoding="utf-8")):
            found.setdefault(command, []).append(str(page.relative_to(root)))
    return found
