r"""`\boxed{...}` in a response: the last answer that it announces, which may stand in several boxes side by side."""

from __future__ import annotations

import re

_BOX = re.compile(r"\\f?boxed\s*\{")
_BETWEEN = re.compile(r"[\s$,;.]*(?:(?:\\text\s*\{)?\s*(?:or|and)\s*\}?)?[\s$,;]*", re.IGNORECASE)


def last_boxes(text: str) -> list[str]:
    """Contents of the last box and of those right before it, with nothing but `or`, `and` or a comma between.

    A box that corrects an earlier one stands alone, because words are between them. Empty where there is no whole box.
    """
    found: list[tuple[int, int, str]] = []
    place = 0
    while box := _BOX.search(text, place):
        end = _closing(text, box.end())
        if end is None:
            place = box.end()
            continue
        found.append((box.start(), end + 1, text[box.end() : end].strip()))
        place = end + 1
    contents: list[str] = []
    start = None
    for begin, end, content in reversed(found):
        if start is not None and not _BETWEEN.fullmatch(text, end, start):
            break
        contents.insert(0, content)
        start = begin
    return contents


def final_answer(text: str) -> str:
    r"""What the last boxes hold, as one `\boxed{...}`, different answers as a list; without a box, all of it."""
    contents = list(dict.fromkeys(last_boxes(text)))
    return f"\\boxed{{{', '.join(contents)}}}" if contents else text


def _closing(text: str, start: int) -> int | None:
    """Where the brace closes that was opened before `start`."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return None
