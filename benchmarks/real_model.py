"""A real language model (SmolLM2-135M): decoding speed and peak memory of a GRPO step.

`python benchmarks/real_model.py` takes the model that `espalier data fetch smollm2-135m` brings; `--folder` another,
with config.json, model.safetensors and tokenizer.json. Prompts of 32 random tokens, 32 new ones at temperature 1,
two threads, at 1, 16 and 64 rows; tokens/s against transformers' `generate` in fp32 and bf16, and against vLLM's CPU
server where `make vllm` made `.venv-vllm`. Sides take turns. bf16 rows are left out where the processor does not
multiply bf16. Memory: a child process without transformers plays and trains 8 rows of 16 tokens twice. A peer that is
missing is a failure unless `--quick`, which has fewer repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from common import THREADS, Row, arguments, finish, paired
from espalier.core.fetch.catalogue import SMOLLM2
from espalier.core.hardware import has_bf16
from espalier.engine.api import Sampling
from espalier.engine.local import LocalEngine
from espalier.lm.build import build
from espalier.lm.checkpoint.files import load_model
from espalier.lm.config import LoraConfig, ModelConfig
from espalier.lm.lora import inject
from espalier.rl.unit import Unit
from real_model_vllm import VENV, Server

Precision = Literal["fp32", "bf16"]
PROMPT, NEW, ROWS = 32, 32, (1, 16, 64)
MUST = {"fp32": {1: 2.0, 16: 2.3, 64: 2.2}, "bf16": {1: 1.23, 16: 1.56, 64: 1.67}}
"""vLLM's CPU server over `generate`, as both were once measured: the target where vLLM itself is missing."""
MUST_VLLM = {"fp32": {1: 1.0, 16: 1.0, 64: 0.95}, "bf16": dict.fromkeys(ROWS, 1.0)}
AIM_VLLM = {"fp32": None, "bf16": 1.5}
MEMORY = {"lora": (2.0, 1.6), "full": (3.5, None)}
"""GB at most, and aimed at."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--folder", type=Path, help="the model's folder (default: SmolLM2, fetched)")
    parser.add_argument("--step", choices=list(MEMORY), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    if args.step:
        asyncio.run(train(args.folder, adapters=args.step == "lora"))
        return 0
    with tempfile.TemporaryDirectory() as place:
        return compare(args.folder or saved(Path(place) / "smollm2"), args)


def saved(folder: Path) -> Path:
    """The fetched model as a Hugging Face folder."""
    build(ModelConfig(pretrained=SMOLLM2.name), seed=0).save(folder)
    return folder


def compare(folder: Path, args: argparse.Namespace) -> int:
    """All rows, for the model in `folder`."""
    missing = [] if VENV.exists() else [f"vLLM: {VENV} does not exist; run `make vllm`"]
    precisions: list[Precision] = ["fp32", "bf16"] if has_bf16(torch.device("cpu")) else ["fp32"]
    rows = [memory(folder, kind) for kind in MEMORY]
    for precision in precisions:
        rows += speed(folder, precision, repeats=2 if args.quick else 5, vllm=not missing)
    code = finish("SmolLM2-135M", rows, args, ("torch", "transformers"))
    for line in missing:
        print(f"missing: {line}")
    return max(code, int(bool(missing) and not args.quick))


def speed(folder: Path, precision: Precision, *, repeats: int, vllm: bool) -> list[Row]:
    """Decoding in one precision against each peer."""
    engine = LocalEngine(
        load_model(folder).requires_grad_(False),
        max_rows=max(ROWS),
        max_len=PROMPT + NEW,
        retain_rows=0,
        precision=precision,
    )
    peers: list[tuple[str, Callable[[int], float], dict[int, float]]] = [
        ("generate", generate(folder, precision), MUST[precision])
    ]
    server = Server(folder, precision, PROMPT + NEW) if vllm else None
    if server is not None:
        complete = lambda count: rate(count, lambda: server.complete(prompts(count), NEW))  # noqa: E731
        peers.append(("vLLM", complete, MUST_VLLM[precision]))
    result = []
    try:
        for name, peer, must in peers:
            for count in ROWS:
                ours = lambda count=count: rate(count, lambda: asyncio.run(sample(engine, prompts(count))))  # noqa: E731
                theirs = lambda count=count, peer=peer: peer(count)  # noqa: E731
                title = f"{precision}, {count} rows, against {name}"
                target = must[count] if server is None or name == "vLLM" else None
                aim = AIM_VLLM[precision] if name == "vLLM" else None
                result.append(paired(title, ours, theirs, unit="tokens/s", repeats=repeats, must=target, aim=aim))
    finally:
        if server is not None:
            server.close()
    return result


def prompts(count: int) -> list[list[int]]:
    """Random prompts, others at each call: no side may have them in a cache."""
    prompts.calls = getattr(prompts, "calls", 0) + 1  # type: ignore[attr-defined]
    draws = np.random.default_rng(prompts.calls).integers(3, 49_000, (count, PROMPT))  # type: ignore[attr-defined]
    return [[int(token) for token in row] for row in draws]


def rate(count: int, run: Callable[[], Any]) -> float:
    """New tokens a second of one run."""
    begun = time.perf_counter()
    run()
    return count * NEW / (time.perf_counter() - begun)


async def sample(engine: LocalEngine, rows: list[list[int]]) -> None:
    """All rows at once; log-probs come along."""
    samplings = [Sampling(max_tokens=NEW, seed=i) for i in range(len(rows))]
    await asyncio.gather(*map(engine.generate, rows, samplings))


def generate(folder: Path, precision: str) -> Callable[[int], float]:
    """transformers' `generate`, without log-probs."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[precision]).eval()

    def run(count: int) -> None:
        ids = torch.tensor(prompts(count))
        options = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": True, "top_k": 0, "pad_token_id": 2}
        with torch.inference_mode():
            model.generate(ids, attention_mask=torch.ones_like(ids), **options)

    return lambda count: rate(count, lambda: run(count))


def memory(folder: Path, kind: str) -> Row:
    """Peak resident memory of a process that trains."""
    command = [sys.executable, __file__, "--folder", str(folder), "--step", kind]
    peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
    must, aim = MEMORY[kind]
    return Row(
        f"peak memory, {kind} step",
        peak,
        must,
        "GB",
        must / peak,
        1.0,
        must / aim if aim else None,
        note="peer: at most",
    )


async def train(folder: Path, *, adapters: bool) -> None:
    """Two GRPO steps of 8 rows of 16 tokens; prints the peak of resident memory in GB."""
    from espalier.rl.algorithms.table import algorithm
    from espalier.rl.learner.config import LearnerConfig
    from espalier.rl.learner.learner import TorchLearner
    from espalier.rl.trajectory import Trajectory

    model = load_model(folder)
    if adapters:
        inject(model, LoraConfig(rank=8))
    engine = LocalEngine(model, max_rows=8, max_len=PROMPT + 16, retain_rows=0)
    learner = TorchLearner(model, LearnerConfig(), algorithm("grpo"), seed=0)
    for step in range(2):
        (prompt,) = prompts(1)
        rows = [Trajectory("task", f"key {step}", 0, i, reward=float(i % 2)) for i in range(8)]
        samplings = [Sampling(max_tokens=16, seed=8 * step + i) for i in range(8)]
        answers = await asyncio.gather(*(engine.generate(prompt, sampling) for sampling in samplings))
        for row, answer in zip(rows, answers, strict=True):
            row.observe(prompt)
            row.sample(answer.tokens, answer.logprobs, answer.versions)
        await engine.sleep()
        await learner.update([Unit(rows)])
        await engine.pause("finish")
        await engine.load(await learner.publish())
        await engine.resume()
    assert "transformers" not in sys.modules, "the memory is that of a process without transformers"
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


if __name__ == "__main__":
    sys.exit(main())
