r"""The answer of a response that marks it: `<answer>..</answer>`, `<|begin_of_box|>..<|end_of_box|>`, `\boxed{}`."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from espalier.envs.api import Episode
from espalier.envs.boxes import last_box_is_open, last_boxes
from espalier.rewards.answer import announced
from espalier.rewards.component import ComponentConfig
from espalier.rewards.mathematics.numbers import UnclearError, final, rewritten

WINDOW = 50_000
"""Characters of a response, from its end, in which the answer is looked for."""
LONGEST_NUMBER = 200
"""Characters of an answer that is still read as a number."""
BEGIN, END = "<|begin_of_box|>", "<|end_of_box|>"


class VerifierConfig(ComponentConfig):
    """What the verifiers of single domains share."""

    unmarked: Literal["wrong", "announced"] = "wrong"
    """A response that marks no answer is wrong, or is read as `answer` reads it: what follows the last `####`,
    `answer is` or `answer:` on its line, else the whole response."""


def said(config: VerifierConfig, episode: Episode) -> str | None:
    """The answer of an episode, None where it gives none. A response that did not end by itself has none."""
    if episode.finish != "stop":
        return None
    response = episode.response
    found = marked(response)
    if found is None and config.unmarked == "announced":
        found = announced(response[-WINDOW:])
    return (found or "").strip() or None


def marked(response: str) -> str | None:
    r"""What stands in the last mark of a response, empty where that is empty or does not end; None without a mark.

    Thinking does not count. Within the last `<answer>`, the last `<|begin_of_box|>` counts, and in it the last
    `\boxed{}`; text outside does not. Several `\boxed{}` side by side are one answer, a list. Ours.
    """
    thought, ended = response.rfind("<think>"), response.rfind("</think>")
    if thought > ended:
        return ""
    text = response[max(ended, len(response) - WINDOW, 0) :]
    answer = _between(text, "<answer>", "</answer>")
    box = boxed(text if answer is None else answer)
    return box if box is not None else answer


def boxed(text: str) -> str | None:
    """What the last box of a text holds, empty where it is empty or does not end; None without a box."""
    inner = _between(text, BEGIN, END)
    text = text[-WINDOW:] if inner is None else inner
    if last_box_is_open(text):
        return ""
    boxes = last_boxes(text)
    if len(boxes) == 1:
        boxes = last_boxes(boxes[0]) or boxes  # a box in a box
    return ", ".join(dict.fromkeys(boxes)) if boxes else inner


def tagged(text: str) -> tuple[str, str] | None:
    """Thought and answer of `<think>..</think><answer>..</answer>`, where the first part may be missing; None where a
    text has another form.
    """
    if any(text.count(tag) > 1 for tag in ("<think>", "</think>", "<answer>", "</answer>")):
        return None
    before, opened, rest = text.partition("<answer>")
    answer, closed, after = rest.partition("</answer>")
    before = before.strip()
    thought = before.removeprefix("<think>").removesuffix("</think>").strip()
    whole = not before or (bool(thought) and before == f"<think>{before[7:-8]}</think>")
    return (thought, answer.strip()) if opened and closed and whole and answer.strip() and not after.strip() else None


def _between(text: str, begin: str, end: str) -> str | None:
    """The text after the last `begin`, empty where no `end` follows; None where there is no `begin`."""
    start = text.rfind(begin)
    if start < 0:
        return None
    start += len(begin)
    return text[start : max(start, text.find(end, start))]


def read_number(text: str) -> Fraction | None:
    """The number that an answer is, such as `x = 12.5 %` or `3 apples`; None where it is none, or a part of more."""
    if len(text) > LONGEST_NUMBER:
        return None
    try:
        return final(rewritten(" ".join(text.split())))
    except UnclearError:
        return None
