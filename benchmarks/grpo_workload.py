"""What both sides of the GRPO step do: the same weights, prompts, completion lengths, reward and learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espalier.core.seed import np_rng
from espalier.lm.config import ModelConfig
from espalier.lm.decoder import Decoder
from espalier.lm.files import save_model
from espalier.lm.presets import decoder_config
from espalier.lm.tokens import char_tokenizer

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz+-*/=()<>.,:;!? \n"
LEARNING_RATE = 1e-4

Step = dict[str, float]
"""Seconds of one step: total, generate, score, train."""


@dataclass(frozen=True, slots=True)
class Workload:
    """16 prompts a step, 8 completions each, at most 48 sampled tokens (the quick start's numbers).

    With `ragged`, each completion's length is drawn beforehand: log-normal, median 16, sigma 0.7.
    """

    ragged: bool
    groups: int = 16
    samples: int = 8
    longest: int = 48

    @property
    def rows(self) -> int:
        """Completions in one step."""
        return self.groups * self.samples

    def prompts(self, step: int) -> list[str]:
        """One prompt per group, 10 to 24 characters."""
        rng = np_rng(0, "prompts", step)
        return ["".join(rng.choice(list("0123456789+-*"), rng.integers(9, 24))) + "=" for _ in range(self.groups)]

    def lengths(self, step: int) -> list[int]:
        """Sampled tokens of each completion, siblings side by side."""
        if not self.ragged:
            return [self.longest] * self.rows
        drawn = np_rng(0, "lengths", step).lognormal(np.log(16), 0.7, self.rows)
        return [int(n) for n in drawn.clip(2, self.longest)]


def reward(completion: str) -> float:
    """Share of digits: cheap, and different for siblings."""
    return sum(c.isdigit() for c in completion) / max(len(completion), 1)


def write_model(folder: Path) -> None:
    """The tiny preset (Qwen3, width 128, 4 layers) with about 64 characters, in Hugging Face's layout."""
    tokenizer = char_tokenizer(ALPHABET)
    decoder = Decoder(decoder_config(ModelConfig(), vocab_size=tokenizer.vocab_size, eos_token_id=tokenizer.eos_id))
    decoder.reset(seed=1)
    save_model(decoder, folder)
    tokenizer.save(folder)
