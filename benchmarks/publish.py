"""How long new weights take to reach an engine: by each channel, from the learner's tensors to the checked engine.

Shared memory alone (write, and read into other tensors), a publish to the embedded engine (which shares or copies the
weights) and to one in a process of its own (with its probe), and to vLLM's server where `make vllm` has installed it.
Times are medians after a warm-up; the peer is the time that is allowed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

import torch
from rich.console import Console

from common import Row, arguments, finish
from espalier.engine.api import Engine
from espalier.engine.build import build_engine
from espalier.engine.channels.api import Channel
from espalier.engine.channels.shm import SharedMemory, SharedReader
from espalier.engine.config import EngineConfig
from espalier.engine.updates import Probe, SharedUpdate, TensorUpdate
from espalier.lm.build import build
from espalier.lm.config import ModelConfig
from espalier.lm.decoder import Decoder
from espalier.rl.learner.stages import sequence_logprobs

MEGABYTE = 1_000_000
SEQUENCES = [[1, 2, 3, 4, 5, 6, 7], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]]
VLLM = Path(__file__).parents[1] / ".venv-vllm" / "bin" / "python"


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    args = parser.parse_args()
    repeats = 7 if args.quick else 21
    rows = [shared(3, 5.0, repeats), shared(500, 150.0, 3 if args.quick else 7)]
    demo = build(ModelConfig(), seed=0, texts=["0123456789+*= #"]).decoder
    rows.append(published("embedded engine, shared weights", demo, EngineConfig(), 20.0, repeats))
    rows.append(published("embedded engine, own copy", demo, EngineConfig(weights="copy"), 20.0, repeats))
    rows.append(published("engine in a process of its own", demo, EngineConfig(kind="process"), 20.0, repeats))
    if VLLM.exists() and not args.quick:
        config = EngineConfig.of(kind="vllm", vllm={"python": str(VLLM)}, max_rows=8, max_len=128)
        rows.append(published("vLLM's server", demo, config, 250.0, repeats))
    return finish("From the learner's weights to the engine", rows, args, ("torch", "espalier"), spread="min-max")


def shared(megabytes: int, allowed: float, repeats: int) -> Row:
    """Shared memory alone."""
    layers = [torch.randn(megabytes * MEGABYTE // 40) for _ in range(10)]
    own = {str(i): layer for i, layer in enumerate(layers)}
    copy = {name: torch.empty_like(tensor) for name, tensor in own.items()}
    memory, reader, times = SharedMemory(), SharedReader(), []
    for version in range(repeats + 2):
        begun = time.perf_counter()
        update = memory.send(TensorUpdate(version, own))
        assert isinstance(update, SharedUpdate)
        with reader.tensors(update) as tensors:
            for name, tensor in tensors.items():
                copy[name].copy_(tensor)
        times.append(1e3 * (time.perf_counter() - begun))
    memory.close()
    return row(f"{megabytes} MB through shared memory, written and read", times[2:], allowed)


def published(name: str, model: Decoder, config: EngineConfig, allowed: float, repeats: int) -> Row:
    """A publish with its probe."""

    async def measure() -> list[float]:
        engine, channel = build_engine(model, config, say=lambda text: Console().print(text, highlight=False))
        try:
            return [await timed(once(engine, channel, model, version)) for version in range(repeats + 2)]
        finally:
            await engine.close()
            channel.close()

    return row(f"publish to the {name}", asyncio.run(measure())[2:], allowed)


async def once(engine: Engine, channel: Channel, model: Decoder, version: int) -> None:
    """What a step of training does after its update."""
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    probe = Probe(SEQUENCES, sequence_logprobs(model, SEQUENCES))
    await engine.publish(channel.send(TensorUpdate(version, tensors, probe)))


async def timed(work: Awaitable[None]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    await work
    return 1e3 * (time.perf_counter() - begun)


def row(name: str, times: list[float], allowed: float) -> Row:
    """Milliseconds against those allowed."""
    ours = statistics.median(times)
    spread = (min(times), max(times))
    return Row(name, ours, allowed, "ms", allowed / ours, 1.0, None, spread)


if __name__ == "__main__":
    sys.exit(main())
