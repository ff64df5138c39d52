"""Multiple choice: the letter, with or without the text; or, where the choices are not shown, the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Literal

from espalier.core.errors import EnvError
from espalier.envs.api import Episode
from espalier.rewards.answer import same
from espalier.rewards.component import place, reference
from espalier.rewards.domains.marked import VerifierConfig, read_number, said
from espalier.rewards.mathematics.numbers import number

_LETTERED = re.compile(r"[\s*_(\[{]*+(?:(?:option|choice)\s++[(\[]?)?([A-Z])(?![^\W_])([)\]}.:*_]*)\s*+", re.IGNORECASE)
"""`B`, `(B)`, `B) text`, `**B.** text`, `Option B`."""
LONGEST = 2000
"""Characters of an answer that is still compared."""


class ChoiceConfig(VerifierConfig):
    """1 where the marked answer takes the right choice."""

    kind: Literal["choice"] = "choice"
    """The reward."""
    fill_in: bool = False
    """The choices are not shown, so that no letter can be guessed: the answer must be the text of the right choice."""


def choice(config: ChoiceConfig, episode: Episode) -> float:
    """1.0 or 0.0. The reference is a letter; the choices are the list `choices` of the task's data, if it has one.

    Rewriting choices to fill in is GLM-4.1V-Thinking's (2507.01006); how letters are read is ours. Raises EnvError
    where the reference is no letter of a choice, or, with `fill_in`, where the task has no choices.
    """
    expected = reference(episode, config.kind).strip().upper()
    choices = [str(text) for text in episode.task.data.get("choices") or ()]
    letters = ascii_uppercase[: len(choices)] if choices else ascii_uppercase
    if len(expected) != 1 or expected not in letters:
        raise EnvError(f"{place(episode)}: the reference answer {episode.task.answer!r:.80} is no letter of a choice")
    if config.fill_in and not choices:
        raise EnvError(f"{place(episode)}: the reward 'choice' with fill_in needs the task's choices")
    answer = said(config, episode)
    if answer is None or len(answer) > LONGEST:
        return 0.0
    if config.fill_in:
        return float(equal(answer, choices[letters.index(expected)]))
    return float(taken(answer, choices) == expected)


def taken(answer: str, choices: Sequence[str]) -> str | None:
    """The letter of the choice that an answer takes; None where it takes none or several, or where its letter and its
    text are of different choices. Without `choices`, a text must be set off from the letter, as in `B) text`.
    """
    letters = ascii_uppercase[: len(choices)] if choices else ascii_uppercase
    found = _LETTERED.match(answer)
    letter = found[1].upper() if found and found[1].upper() in letters else None
    text = answer[found.end() :].strip(" \n\t.*_)]}") if found else ""
    if letter and (not text or (choices and equal(text, choices[letters.index(letter)]))):
        return letter
    if choices:
        named = [one for one, text in zip(letters, choices, strict=False) if equal(answer, text)]
        return named[0] if len(named) == 1 else None
    return letter if found and found[2] and not _LETTERED.match(text) else None


def equal(answer: str, text: str) -> bool:
    """Whether an answer is a choice's text: the same number where that is one, else the same words."""
    wanted = number(text)
    return read_number(answer) == wanted if wanted is not None else same(answer, text)
