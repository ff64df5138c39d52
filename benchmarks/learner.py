"""Learner speed: packed rows against transformers' padded forward and backward, same weights, fp32, two threads.

128 rows of 20 to 60 tokens, of which the first 8 are prompt: about 5000 tokens a step. A step is all of it on both
sides: lists to tensors, forward, backward, clipping at norm 1, AdamW (fused). transformers pads each micro-batch to its
longest row, in the order given, with as many rows at a time as suits it best; a further row lets it sort rows by length
first. Only real tokens count. No number is printed unless losses and gradient norms agree first.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common import THREADS, Row, arguments, finish, paired
from espalier.lm.checkpoint.files import save_model
from espalier.lm.config import ModelConfig
from espalier.lm.decoder import Decoder
from espalier.lm.presets import decoder_config
from espalier.rl.algorithms.table import algorithm
from espalier.rl.learner.config import LearnerConfig, OptimConfig
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.trajectory import Group, Trajectory
from espalier.rl.unit import Unit

ROWS, SAMPLES, SHORTEST, LONGEST, PROMPT, VOCABULARY = 128, 8, 20, 60, 8, 64
BATCHES = (16, 32, 64, 128)
TOKENS = (1024, 2048, 4096, 8192)
LR = 1e-6
"""Small: the weights hardly move, so that every repeat does the same work."""


def main() -> int:
    """Run it."""
    args = arguments(__doc__ or "").parse_args()
    torch.set_num_threads(THREADS)
    repeats = 7 if args.quick else 21
    rows: list[Row] = []
    for name, groups in (("supervised", demonstrations()), ("reinforcement learning", rollouts())):
        peers = {order: {n: Padded(groups, n, order == "sorted") for n in BATCHES} for order in ("given", "sorted")}
        ours = {n: Packed(groups, n) for n in TOKENS}
        agree(next(iter(ours.values())), [side for sides in peers.values() for side in sides.values()])
        mine, budget = best(ours)
        theirs, batch = best(peers["given"])
        note = f"{budget} tokens a micro-batch; transformers' best: {batch} rows"
        rows.append(
            paired(f"{name}, ragged", mine, theirs, unit="tokens/s", repeats=repeats, must=1.5, aim=2.0, note=note)
        )
        theirs, batch = best(peers["sorted"])
        note = f"transformers' best: {batch} rows"
        rows.append(paired(f"{name}, peer sorted by length", mine, theirs, unit="tokens/s", repeats=repeats, note=note))
    return finish("Learner", rows, args, ("torch", "transformers"))


def demonstrations() -> list[Group]:
    """Rows for cross entropy on all but the prompt."""
    groups = []
    for group in rollouts():
        for row in group:
            row.weights = {"ce": [float(sampled) for sampled in row.mask]}
            row.mask, row.reward = [False] * len(row.tokens), None
            groups.append([row])
    return groups


def rollouts() -> list[Group]:
    """Groups of sampled rows with rewards. Their log-probs are those of a uniform policy, which the model nearly is."""
    random = np.random.default_rng(0)
    groups = []
    for number in range(ROWS // SAMPLES):
        group = []
        for member in range(SAMPLES):
            row = Trajectory("benchmark", str(number), number, member)
            length = int(random.integers(SHORTEST, LONGEST + 1)) - PROMPT
            row.observe(random.integers(0, VOCABULARY, PROMPT).tolist())
            row.sample(random.integers(0, VOCABULARY, length).tolist(), [-np.log(VOCABULARY)] * length, [0] * length)
            row.reward = float(member % 2)
            group.append(row)
        groups.append(group)
    return groups


def model() -> Decoder:
    """The tiny preset with random weights."""
    result = Decoder(decoder_config(ModelConfig(preset="tiny"), vocab_size=VOCABULARY))
    result.reset(0)
    return result


class Packed:
    """Our side."""

    def __init__(self, groups: list[Group], budget: int) -> None:
        config = LearnerConfig(optim=OptimConfig(lr=LR), tokens_per_microbatch=budget)
        self.units = [Unit(group) for group in groups]
        self.tokens = sum(len(row.tokens) for group in groups for row in group)
        self.learner = TorchLearner(model(), config, algorithm("dapo"), seed=0)

    def step(self) -> tuple[float, float]:
        """Loss and gradient norm of one step."""
        metrics = asyncio.run(self.learner.update(self.units))
        return metrics.get("loss/ce", metrics.get("loss/rl", 0.0)), metrics["grad_norm"]

    def __call__(self) -> float:
        """Tokens a second."""
        return timed(self)


class Padded:
    """The peer: what a trainer around a transformers model does."""

    def __init__(self, groups: list[Group], rows: int, by_length: bool) -> None:
        from transformers import AutoModelForCausalLM

        with tempfile.TemporaryDirectory() as folder:
            save_model(model(), Path(folder))
            self.model: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa").train()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=LR, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        )
        self.groups, self.rows, self.by_length = groups, rows, by_length
        self.tokens = sum(len(row.tokens) for group in groups for row in group)

    def step(self) -> tuple[float, float]:
        """Loss and gradient norm of one step."""
        rows = [row for group in self.groups for row in group]
        credit = [0.0] * len(rows)
        if rows[0].reward is not None:
            rewards = torch.tensor([[row.reward for row in group] for group in self.groups])
            centred = rewards - rewards.mean(1, keepdim=True)
            credit = (centred / (rewards.std(1, keepdim=True) + 1e-6)).flatten().tolist()
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].tokens)) if self.by_length else range(len(rows))
        count = sum(row.sampled or int(sum((row.weights or {})["ce"])) for row in rows)
        total = 0.0
        for start in range(0, len(rows), self.rows):
            chosen = order[start : start + self.rows]
            loss = self.loss([rows[i] for i in chosen], torch.tensor([credit[i] for i in chosen])) / count
            torch.autograd.backward(loss)
            total += float(loss)
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total, norm

    def loss(self, rows: list[Trajectory], credit: Tensor) -> Tensor:
        """Summed over tokens."""
        weights = [[float(m) for m in row.mask] if row.weights is None else row.weights["ce"] for row in rows]
        tokens = padded([row.tokens for row in rows], torch.long)
        attention = padded([[1] * len(row.tokens) for row in rows], torch.long)
        weight = padded(weights, torch.float32)[:, 1:]
        logits = self.model(input_ids=tokens, attention_mask=attention, use_cache=False).logits[:, :-1]
        losses = F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
        if rows[0].reward is not None:
            ratio = (-losses - padded([row.logprobs for row in rows], torch.float32)[:, 1:]).exp()
            credit = credit[:, None]
            losses = torch.maximum(-credit * ratio, -credit * ratio.clamp(0.8, 1.28))
        return (losses * weight).sum()

    def __call__(self) -> float:
        """Tokens a second."""
        return timed(self)


def padded(rows: list[Any], dtype: torch.dtype) -> Tensor:
    """[rows, longest], zero where a row has ended."""
    tensors = [torch.tensor(row, dtype=dtype) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)


def timed(side: Packed | Padded) -> float:
    """Tokens a second of one step."""
    begun = time.perf_counter()
    side.step()
    return side.tokens / (time.perf_counter() - begun)


def agree(ours: Packed, peers: list[Padded]) -> None:
    """Stop unless both sides find the same loss and gradient."""
    mine = ours.step()
    for peer in peers:
        theirs = peer.step()
        if not np.allclose(mine, theirs, rtol=1e-4, atol=1e-6):
            sys.exit(f"no benchmark: loss and gradient norm are {mine} here and {theirs} in transformers")


def best(sides: Mapping[int, Callable[[], float]]) -> tuple[Callable[[], float], int]:
    """The fastest side by its best of four steps, and its key."""
    speed = {key: max(side() for _ in range(4)) for key, side in sides.items()}
    key = max(speed, key=lambda key: speed[key])
    return sides[key], key


if __name__ == "__main__":
    sys.exit(main())
