"""Words that an answer shares with the reference: the F1 of question answering."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from espalier.core.errors import EnvError
from espalier.envs.api import Episode
from espalier.rewards.answer import announced, plain, same
from espalier.rewards.component import ComponentConfig, place, reference


class F1Config(ComponentConfig):
    """The F1 of the words of the answer and of the reference: 1 where they are the same, 0 where they share none."""

    kind: Literal["f1"] = "f1"
    """The reward."""


def f1(config: F1Config, episode: Episode) -> float:
    """2 x shared / (words of the answer + words of the reference), each word as often as it occurs (SQuAD, Rajpurkar et
    al. 2016). The last box counts, else what follows the last `answer:` on its line, else the whole response. Words are
    compared without case, punctuation and articles. A reference of nothing else is compared as it is.

    Raises EnvError where the task has no reference, or has choices: their references are letters.
    """
    expected = reference(episode, config.kind)
    if episode.task.data.get("choices"):
        raise EnvError(f"{place(episode)}: the reward 'f1' compares words, and the task has choices; take `answer`")
    said = announced(episode.response)
    if not plain(expected):
        return float(same(said, expected))
    return word_f1(plain(said).split(), plain(expected).split())


def word_f1(said: list[str], expected: list[str]) -> float:
    """The harmonic mean of precision and recall over words, with repeats; 0 where either has no word."""
    shared = (Counter(said) & Counter(expected)).total()
    return 2 * shared / (len(said) + len(expected)) if shared else 0.0
