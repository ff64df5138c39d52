"""Words that an answer shares with the reference: the F1 of question answering."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from espalier.envs.api import Episode
from espalier.rewards.answer import announced, plain
from espalier.rewards.component import ComponentConfig, reference


class F1Config(ComponentConfig):
    """The F1 of the words of the answer and of the reference: 1 where they are the same, 0 where they share none."""

    kind: Literal["f1"] = "f1"
    """The reward."""


def f1(config: F1Config, episode: Episode) -> float:
    """2 x shared / (words of the answer + words of the reference), each word as often as it occurs (SQuAD, Rajpurkar et
    al. 2016). The answer is found as the reward `answer` finds it, and compared without case, punctuation and articles.

    Raises EnvError where the task has no reference.
    """
    said, expected = plain(announced(episode.response)), plain(reference(episode, config.kind))
    return word_f1(said.split(), expected.split())


def word_f1(said: list[str], expected: list[str]) -> float:
    """The harmonic mean of precision and recall over words, with repeats; 0 where either has no word."""
    shared = (Counter(said) & Counter(expected)).total()
    return 2 * shared / (len(said) + len(expected)) if shared else 0.0
