"""The answer against the reference, by the form of the reference: a letter of choices, a number, or text."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Literal

from espalier.envs.api import Episode
from espalier.envs.boxes import last_boxes
from espalier.rewards.component import ComponentConfig, reference
from espalier.rewards.mathematics.numbers import number
from espalier.rewards.mathematics.numeric import Numeric, NumericConfig

_ANNOUNCED = re.compile(r"####|\banswer(?:\s+is\b|\s*:)", re.IGNORECASE)
"""What a final answer is announced with."""
_LETTER = re.compile(r"(?:[\s*_(\[:]|[Oo]ption|[Cc]hoice)*([A-Z])(?:[)\].:*_]|\s*(?:\n|\Z))")
"""A letter that stands for a choice: `B`, `(B)`, `B) text`, `**B.**`."""
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class AnswerConfig(ComponentConfig):
    """1 where the answer is the reference: the letter of a choice, an equal number, or the same text."""

    kind: Literal["answer"] = "answer"
    """The reward."""


class Answer:
    """The reward. Numbers are compared as `numeric` does; where none is announced, the last one counts. Text is
    compared without case, punctuation, articles and white space (SQuAD, Rajpurkar et al. 2016). What the last box holds
    counts, else what follows the last `####`, `answer is` or `answer:` on its line, else the whole response.
    """

    def __init__(self) -> None:
        self._numeric = Numeric(NumericConfig(otherwise="last_number"))

    def __call__(self, episode: Episode) -> float:
        """1.0 or 0.0. Raises EnvError where the task has no reference."""
        expected = reference(episode, "answer")
        if choices := episode.task.data.get("choices"):
            return float(chosen(episode.response, choices) == expected)
        if number(expected) is not None:
            return self._numeric(episode)
        return float(same(announced(episode.response), expected))


def chosen(response: str, choices: Sequence[str]) -> str | None:
    """The letter of the choice that a response takes, by letter or by text; None where it takes none, or several."""
    letters = string.ascii_uppercase[: len(choices)]
    said = announced(response)
    named = [letter for letter, text in zip(letters, choices, strict=True) if same(said, text)]
    if len(named) == 1:
        return named[0]
    found = _LETTER.match(said) or _LETTER.match(said.strip().upper() if len(said.strip()) == 1 else "")
    return found[1] if found and found[1] in letters else None


def announced(response: str) -> str:
    """What a response says is its answer; the whole of it where it announces none."""
    if boxes := last_boxes(response):
        return ", ".join(dict.fromkeys(boxes))
    marks = list(_ANNOUNCED.finditer(response))
    return response[marks[-1].end() :].lstrip(" :*\n\r\t").partition("\n")[0] if marks else response


def same(said: str, expected: str) -> bool:
    """Whether two texts are the same answer."""
    one, other = plain(said), plain(expected)
    return one == other if other else said.strip() == expected.strip()


def plain(text: str) -> str:
    """A text without case, punctuation, articles and superfluous white space (SQuAD, Rajpurkar et al. 2016)."""
    return " ".join(_ARTICLES.sub(" ", text.casefold().translate(_PUNCTUATION)).split())
