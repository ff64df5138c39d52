"""What both sides of the GRPO step do: the same weights, prompts, completion lengths, reward and learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from espalier.core.fetch.catalogue import SMOLLM2
from espalier.core.seed import np_rng
from espalier.lm.build import build
from espalier.lm.checkpoint.files import save_model
from espalier.lm.config import LoraConfig, ModelConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import LoraLinear, inject, save_adapters
from espalier.lm.presets import decoder_config
from espalier.lm.tokens import char_tokenizer

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz+-*/=()<>.,:;!? \n"
WORDS = ("the", "and", "for", "with", "from", "that", "this", "have", "some", "house", "water", "light", "time", "year")
"""Words that are one token of SmolLM2 each, with a space before them or not."""
LEARNING_RATE = 1e-4

Step = dict[str, float]
"""Seconds of one step: total, generate, score, train."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Prompts a step, completions of each, and sampled tokens at most; the quick start's numbers unless given.

    With `ragged`, each completion's length is drawn beforehand: log-normal, median 16, sigma 0.7. With `words`, the
    model is SmolLM2-135M and a prompt is `words` words, each a token of it; with `lora`, adapters of that rank train.
    """

    title: str
    ragged: bool = False
    groups: int = 16
    samples: int = 8
    longest: int = 48
    words: int = 0
    lora: int = 0
    batches: tuple[int, ...] = (32, 64, 128)
    """Rows at a time among which TRL's best is looked for."""
    must: float = 2.0
    aim: float = 4.0

    @property
    def rows(self) -> int:
        """Completions in one step."""
        return self.groups * self.samples

    def prompts(self, step: int) -> list[str]:
        """One prompt per group, 10 to 24 characters, or `words` words."""
        rng = np_rng(0, "prompts", step)
        if self.words:
            return [" ".join(rng.choice(WORDS, self.words)) for _ in range(self.groups)]
        return ["".join(rng.choice(list("0123456789+-*"), rng.integers(9, 24))) + "=" for _ in range(self.groups)]

    def lengths(self, step: int) -> list[int]:
        """Sampled tokens of each completion, siblings side by side."""
        if not self.ragged:
            return [self.longest] * self.rows
        drawn = np_rng(0, "lengths", step).lognormal(np.log(16), 0.7, self.rows)
        return [int(n) for n in drawn.clip(2, self.longest)]

    def write_model(self, folder: Path) -> None:
        """The model in Hugging Face's layout, and the adapters that both sides begin with in PEFT's."""
        if self.words:
            model = build(ModelConfig(pretrained=SMOLLM2.name), seed=0)
            model.save(folder)
            if self.lora:
                write_adapters(model.decoder, self.lora, folder / "adapters")
            sizes = {len(model.tokenizer.encode(prompt)) for prompt in self.prompts(0)}
            assert sizes == {self.words}, f"prompts of {sizes} tokens"
            return
        tokenizer = char_tokenizer(ALPHABET)
        config = decoder_config(ModelConfig(), vocab_size=tokenizer.vocab_size, eos_token_id=tokenizer.eos_id)
        decoder = Decoder(config)
        decoder.reset(seed=1)
        save_model(decoder, folder)
        tokenizer.save(folder)


def write_adapters(decoder: Decoder, rank: int, folder: Path) -> None:
    """Adapters with random A and B: at B = 0, as training begins, the gradient of A is zero and would go unchecked."""
    inject(decoder, LoraConfig(rank=rank))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in decoder.modules():
            if isinstance(layer, LoraLinear):
                layer.lora_B.normal_(std=0.02, generator=generator)
    save_adapters(decoder, folder)


def reward(completion: str) -> float:
    """Share of vowels: cheap, and different for siblings."""
    return sum(c in "aeiou" for c in completion) / max(len(completion), 1)
