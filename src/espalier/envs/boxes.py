r"""`\boxed{...}` in a response: the last answer that it announces, which may stand in several boxes side by side."""

from __future__ import annotations

import re

_SIGN = re.compile(r"\\f?boxed\s*\{|[{}]")
_BETWEEN = re.compile(r"[\s$,;.]*+(?:(?:\\text\s*+\{)?\s*+(?:or|and)\s*+\}?)?+[\s$,;]*+", re.IGNORECASE)


def last_boxes(text: str) -> list[str]:
    """Contents of the last box and of those right before it, with nothing but `or`, `and` or a comma between.

    A box that corrects an earlier one stands alone, because words are between them. Empty where there is no whole box.
    """
    found, _ = _boxes(text)
    contents: list[str] = []
    start = None
    for begin, inner, end in reversed(found):
        if start is not None and not _BETWEEN.fullmatch(text, end + 1, start):
            break
        contents.append(text[inner:end].strip())
        start = begin
    return contents[::-1]


def last_box_is_open(text: str) -> bool:
    """Whether a box was begun after the last whole one, and does not end."""
    found, opened = _boxes(text)
    return opened > (found[-1][0] if found else -1)


def final_answer(text: str) -> str:
    r"""What the last boxes hold, as one `\boxed{...}`, different answers as a list; without a box, all of it."""
    contents = list(dict.fromkeys(last_boxes(text)))
    return f"\\boxed{{{', '.join(contents)}}}" if contents else text


def _boxes(text: str) -> tuple[list[tuple[int, int, int]], int]:
    """Where each whole box begins, where its content does, and where its brace closes, without boxes within boxes; and
    where the last box begins that does not end, or -1. In linear time.
    """
    found: list[tuple[int, int, int]] = []
    if "boxed" not in text:
        return found, -1
    opened: list[tuple[int, int] | None] = []
    for sign in _SIGN.finditer(text):
        if sign[0] == "{":
            opened.append(None)
        elif sign[0] != "}":
            opened.append(sign.span())
        elif opened and (box := opened.pop()):
            begin, inner = box
            while found and found[-1][0] > begin:
                found.pop()
            found.append((begin, inner, sign.start()))
    return found, max((box[0] for box in opened if box), default=-1)
