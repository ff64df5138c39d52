"""A full GRPO step, generate, score and train: ours against TRL's GRPOTrainer.

Two threads, fp32; DAPO's loss without KL, AdamW, clipping at norm 1, one optimizer step for each batch of completions.
The models are a Qwen3 of width 128 and 4 layers (16 prompts of 10 to 24 tokens, 8 samples each), and SmolLM2-135M
(8 prompts of 32 tokens, 8 samples each, 32 new tokens), all its weights or adapters (LoRA of rank 8). Lengths are
forced on both sides: as many sampled tokens for all, or one for each completion, drawn beforehand (log-normal, median
16, sigma 0.7, at most 48). TRL trains with as many rows at a time as suits it best. Steps alternate. No number is
printed unless both find the same gradient norm for the same rows first. `--quick` leaves SmolLM2 out.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from common import THREADS, Row, arguments, finish
from espalier.core.fetch.catalogue import SMOLLM2
from espalier.engine.api import Completion, Sampling
from espalier.engine.local import LocalEngine
from espalier.lm.checkpoint.files import load_model
from espalier.lm.checkpoint.tokenizer_files import load_tokenizer
from espalier.lm.lora import load_adapters
from espalier.rl.algorithms.table import algorithm
from espalier.rl.learner.config import LearnerConfig, OptimConfig
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.trajectory import Trajectory
from espalier.rl.unit import Unit
from grpo_trl import Peer, Seen
from grpo_workload import LEARNING_RATE, Step, Workload, reward

REAL = Workload("SmolLM2", groups=8, longest=32, words=32, batches=(16, 64), must=1.5, aim=1.8)
WORKS = (
    Workload("lengths vary", ragged=True),
    Workload("equal lengths"),
    replace(REAL, title="SmolLM2, all weights, equal lengths"),
    replace(REAL, title="SmolLM2, LoRA, equal lengths", lora=8),
)
PHASES = ("generate", "score", "train")


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", metavar="TEXT", default="", help="cases with this in their title")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    works = [work for work in WORKS if args.only.lower() in work.title.lower() and not (args.quick and work.words)]
    if not works:
        parser.error(f"no case has {args.only!r} in its title: {', '.join(work.title for work in WORKS)}")
    if any(work.words for work in works):
        SMOLLM2.found()  # before anything is timed
    rows: list[Row] = []
    for work in works:
        repeats = 3 if work.words else 5 if args.quick else 15
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            work.write_model(folder)
            batch = best_batch(folder, work)
            rows += compare(work, race(folder, work, batch, repeats), note=f"TRL's best: {batch} rows at a time")
        print(f"{work.title}: {rows[-1 - len(PHASES)].ratio:.2f} times as fast", flush=True)
    return finish("GRPO step", rows, args, ("torch", "transformers", "trl", "peft"))


class Ours:
    """The engine and the learner on one set of weights, as the training loop joins them."""

    def __init__(self, folder: Path, work: Workload) -> None:
        self.model = load_model(folder)
        if work.lora:
            load_adapters(self.model, folder / "adapters")
        self.work, self.tokenizer = work, load_tokenizer(folder)
        self.engine = LocalEngine(self.model, max_rows=work.rows, max_len=work.longest + 32)
        optim = OptimConfig(lr=LEARNING_RATE, weight_decay=0.0)
        self.learner = TorchLearner(self.model, LearnerConfig(optim=optim), algorithm("dapo"), seed=0)

    async def step(self, number: int) -> Step:
        """Sample, score, train, hand over the weights. Raises AssertionError where the token count is wrong."""
        begun = time.perf_counter()
        prompts = [self.tokenizer.encode(text) for text in self.work.prompts(number)]
        asked = [prompts[i // self.work.samples] for i in range(self.work.rows)]
        lengths = self.work.lengths(number)
        requests = (
            self.engine.generate(prompt, Sampling(max_tokens=length, seed=number * self.work.rows + i))
            for i, (prompt, length) in enumerate(zip(asked, lengths, strict=True))
        )
        completions = await asyncio.gather(*requests)
        generated = time.perf_counter()
        rewards = [reward(self.tokenizer.decode(c.tokens, skip_special=True)) for c in completions]
        units = self._units(asked, completions, rewards)
        scored = time.perf_counter()
        await self.engine.sleep()
        await self.learner.update(units)
        await self.engine.load(await self.learner.publish())
        ended = time.perf_counter()
        assert [len(c.tokens) for c in completions] == lengths, "the engine sampled another number of tokens"
        return {
            "total": ended - begun,
            "generate": generated - begun,
            "score": scored - generated,
            "train": ended - scored,
        }

    async def grad_norm(self, seen: Seen) -> float:
        """The gradient norm that the learner finds for rows that the peer sampled."""
        prompts = [self.tokenizer.encode(text) for text in seen.prompts]
        scores = await asyncio.gather(
            *(self.engine.score(p + c) for p, c in zip(prompts, seen.completions, strict=True))
        )
        completions = [
            Completion(ids, logprobs[-len(ids) :], [], [0] * len(ids), "length", 0, 0, 0.0)
            for ids, logprobs in zip(seen.completions, scores, strict=True)
        ]
        return (await self.learner.update(self._units(prompts, completions, seen.rewards)))["grad_norm"]

    def _units(self, prompts: list[list[int]], completions: list[Completion], rewards: list[float]) -> list[Unit]:
        rows = []
        for i, (prompt, completion, value) in enumerate(zip(prompts, completions, rewards, strict=True)):
            group, member = divmod(i, self.work.samples)
            row = Trajectory("vowels", key=str(group), group=group, member=member, reward=value)
            row.observe(prompt)
            row.sample(completion.tokens, completion.logprobs, completion.versions)
            rows.append(row)
        return [Unit(rows[i : i + self.work.samples]) for i in range(0, len(rows), self.work.samples)]


def best_batch(folder: Path, work: Workload) -> int:
    """The rows at a time with which TRL's training is fastest; of a tiny model the second of two steps is timed."""
    seconds, steps = {}, 1 if work.words else 2
    for batch in work.batches:
        peer = Peer(folder, work, batch)
        peer.run(steps, lambda step, seen: None)
        seconds[batch] = peer.steps[-1]["total"]
    return min(seconds, key=lambda batch: seconds[batch])


def race(folder: Path, work: Workload, batch: int, repeats: int) -> list[tuple[Step, Step]]:
    """Steps of ours and of TRL's in turn, after one of each to warm up. Exits where gradient norms differ by 1%."""
    ours, pairs = Ours(folder, work), list[tuple[Step, Step]]()
    check = Ours(folder, work)

    def between(step: Step, seen: Seen) -> None:
        if not pairs:
            norm = asyncio.run(check.grad_norm(seen))
            if abs(norm / seen.grad_norm - 1) > 0.01:
                sys.exit(
                    f"gradient norms of the same rows differ: {norm:.5f} ours, {seen.grad_norm:.5f} TRL's; no timing"
                )
        pairs.append((asyncio.run(ours.step(len(pairs))), step))

    Peer(folder, work, batch).run(repeats + 1, between)
    return pairs[1:]


def compare(work: Workload, pairs: list[tuple[Step, Step]], note: str) -> list[Row]:
    """The whole step, with targets, and its phases."""
    rows = []
    for phase in ("total", *PHASES):
        seconds = np.array([(ours[phase], theirs[phase]) for ours, theirs in pairs])
        ratios = seconds[:, 1] / seconds[:, 0]
        low, high = np.percentile(ratios, [10, 90])
        mine, theirs = np.median(seconds, axis=0)
        must, aim = (work.must, work.aim) if phase == "total" else (None, None)
        name = f"step, {work.title}" if phase == "total" else f"  {phase}"
        spread = (float(low), float(high))
        text = note if phase == "total" else ""
        rows.append(Row(name, float(mine), float(theirs), "s", float(np.median(ratios)), must, aim, spread, text))
    return rows


if __name__ == "__main__":
    sys.exit(main())
