"""Servers of vLLM over models of this package, for vllm_targets.py: one at a time, on one core of two."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from espalier.core.fetch.catalogue import SMOLLM2
from espalier.core.net.http import HttpClient
from espalier.core.seed import np_rng
from espalier.core.sockets import free_port
from espalier.engine.api import Completion, Engine, EngineStats, Sampling
from espalier.engine.channels.api import Channel
from espalier.engine.channels.disk import Adapters, Disk
from espalier.engine.config import VllmConfig
from espalier.engine.http.dialect import Call
from espalier.engine.http.engine import HttpEngine
from espalier.engine.http.vllm import VllmDialect
from espalier.engine.launch import vllm as launch
from espalier.engine.probe import ProbeError
from espalier.engine.process.cores import available, divide
from espalier.engine.updates import Probe, TensorUpdate, WeightUpdate
from espalier.lm.build import LanguageModel, build
from espalier.lm.checkpoint.files import save_weights
from espalier.lm.checkpoint.weights import named
from espalier.lm.config import DecoderConfig, LoraConfig, ModelConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import base_tensors, inject, lora_shape
from espalier.rl.learner.learner import PROBE_TOKENS
from espalier.rl.learner.stages import sequence_logprobs

PYTHON = Path(__file__).parents[1] / ".venv-vllm" / "bin" / "python"
MAX_LEN = 1024
MAX_ROWS = 8
SECONDS = 120.0
"""Deadline of a completion, and of waiting for a state of the server."""
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
TINY = DecoderConfig.of(
    family="qwen3",
    vocab_size=1024,
    hidden_size=128,
    intermediate_size=256,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,  # the narrowest of vLLM's kernels
    max_position_embeddings=MAX_LEN,
    tie_word_embeddings=True,
)
"""722,304 parameters."""
EMBEDDING = "model.embed_tokens.weight"
NOTHING = hashlib.sha256(b"").hexdigest()
CORES = divide(available(), 1, overlap=True)
"""The server and the learner are never on the same core, if there are two."""


def tiny(seed: int) -> Decoder:
    """Random weights, so large that the distributions are far from flat."""
    model = Decoder(TINY)
    model.reset(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4.0)
    return model


def headed(model: Decoder, other: Decoder) -> Decoder:
    """`model` with the output head of `other`; both of `tiny`, whose head is the embedding."""
    mixed = Decoder(TINY.model_copy(update={"tie_word_embeddings": False}))
    mixed.load_state_dict({**tensors(model), "lm_head.weight": tensors(other)[EMBEDDING]})
    return mixed


def with_adapters(seed: int) -> Decoder:
    """`tiny(0)` with random adapters, as large as those of a long training."""
    model = tiny(0)
    inject(model, LoraConfig(rank=8), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_B"):
                parameter.normal_(0.0, 0.1, generator=generator)
    return model


def smollm2() -> LanguageModel:
    """The fetched model in fp32. Raises DataError, naming the command that fetches it, where it is not there."""
    return build(ModelConfig(pretrained=SMOLLM2.name), seed=0)


def perturbed(model: Decoder) -> Decoder:
    """A copy whose weights differ by 1%, as weights of another version."""
    other, generator = copy.deepcopy(model), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.0 + 0.01 * torch.randn(parameter.shape, generator=generator))
    return other


def tensors(model: Decoder) -> dict[str, torch.Tensor]:
    """What a learner publishes."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def probe(model: Decoder) -> Probe:
    """What `model` says about the sequences that a learner with the seed 0 draws."""
    draw = np_rng(0, "probe")
    sequences = [draw.integers(model.config.vocab_size, size=length).tolist() for length in PROBE_TOKENS]
    return Probe(sequences, sequence_logprobs(model, sequences))


def furthest(found: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> float:
    """The largest difference."""
    pairs = [pair for one, other in zip(found, expected, strict=True) for pair in zip(one, other, strict=True)]
    return max((abs(a - b) for a, b in pairs), default=0.0)


async def off(engine: Engine, expected: Probe) -> float:
    """The largest difference between an engine's log-probs and those of a probe."""
    return furthest([await engine.score(sequence) for sequence in expected.sequences], expected.logprobs)


async def rejected(publish: Awaitable[None]) -> bool:
    """Whether the probe rejects what was published."""
    try:
        await publish
    except ProbeError:
        return True
    return False


def unlike(model: Decoder, prompts: Sequence[Sequence[int]], done: Sequence[Completion]) -> float:
    """The largest difference between the log-probs of sampled tokens and those of `model`."""
    whole = sequence_logprobs(model, [[*prompt, *one.tokens] for prompt, one in zip(prompts, done, strict=True)])
    expected = [row[len(prompt) :] for row, prompt in zip(whole, prompts, strict=True)]
    return furthest([one.raw_logprobs for one in done], expected)


@dataclass(slots=True)
class Served:
    """A running server: an engine over it, the channel to that, and a client for what the engine never asks."""

    url: str
    engine: HttpEngine
    dialect: VllmDialect
    channel: Channel
    client: HttpClient
    version: int = 0

    def update(self, model: Decoder) -> WeightUpdate:
        """The weights of `model` as the next version, with a probe."""
        self.version += 1
        return self.channel.send(TensorUpdate(self.version, tensors(model), probe(model)))

    async def alone(self, prompt: Sequence[int], sampling: Sampling, request: str) -> Completion:
        """A completion of the server without the checks of the engine. `request` names it there."""
        call = Call(self.client, "policy", self.version, SECONDS, "bench")
        return await self.dialect.generate(call, prompt, sampling, request)

    async def abort(self, request: str) -> None:
        """Abort a request by an id."""
        await self.client.tell("/abort_requests", {"request_ids": [request]}, seconds=SECONDS)

    async def started(
        self, count: int, *, sampled: int = 5, seed: int = 1, request: str = ""
    ) -> asyncio.Task[Completion]:
        """A completion of `count` tokens that has sampled some of them. request: its id; without one the engine's."""
        before, sampling = (await self.engine.stats()).sampled_tokens, Sampling(max_tokens=count, seed=seed)
        work = self.alone(PROMPT, sampling, request) if request else self.engine.generate(PROMPT, sampling)
        task = asyncio.create_task(work)
        await self.until(lambda stats: stats.sampled_tokens >= before + sampled)
        return task

    async def until(self, holds: Callable[[EngineStats], bool]) -> None:
        """Wait until the server's figures are so. Raises TimeoutError where they never are."""
        async with asyncio.timeout(SECONDS):
            while not holds(await self.engine.stats()):
                await asyncio.sleep(0.005)


async def dropped(task: asyncio.Task[Completion]) -> None:
    """Cancel a request."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def checksums(served: Served) -> dict[str, str]:
    """What the server says of its weights, by name."""
    answer = await served.client.post("/weight_checker", {"action": "checksum"}, seconds=SECONDS)
    return {str(name): str(value) for name, value in answer["checksums"].items()}


def untrue(found: Mapping[str, str], model: Decoder) -> int:
    """The number of checksums that are neither of no bytes nor those of the weights of `model`."""
    own = {name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for name, tensor in tensors(model).items()}
    names = {name: name.rpartition(":")[2].replace(".base_layer.", ".") for name in found}
    return sum(value != NOTHING and value != own[names[name]] for name, value in found.items())


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> int:
    """The number of names whose values differ."""
    return sum(one[name] != other[name] for name in one)


@asynccontextmanager
async def serving(model: Decoder, *, dtype: str = "float32") -> AsyncIterator[Served]:
    """A server over `model`, as a run starts it: for adapters if it has some, else with our extension."""
    rank = lora_shape(model)[0]
    channel: Channel = Adapters(model) if rank else Disk(model)
    dialect = VllmDialect(updates=frozenset((channel.kind,)))
    begun = time.perf_counter()
    async with AsyncExitStack() as undo:
        undo.callback(channel.close)
        place, port = Path(undo.enter_context(tempfile.TemporaryDirectory())), free_port()
        save_weights(model.config, base_tensors(named(model)), place / "model")
        words = launch.command(
            PYTHON,
            place / "model",
            port,
            dtype=dtype,
            max_len=MAX_LEN,
            max_rows=MAX_ROWS,
            lora_rank=rank,
            more=VllmConfig().args,
        )
        env = launch.environment(lora=rank > 0, kv_gib=1, cores=CORES.engines[0])
        server = await launch.start(words, port, env, place / "log.txt", seconds=VllmConfig().start_seconds)
        undo.callback(server.end)
        client = HttpClient(server.url)
        undo.push_async_callback(client.close)
        engine = await joined(server.url, dialect, model)
        undo.push_async_callback(engine.close)
        version = (await client.get("/version", seconds=SECONDS))["version"]
        what, seconds = f"vLLM {version}, {model.config.family}, {dtype}", time.perf_counter() - begun
        Console().print(f"{what}{', adapters' if rank else ''}: started in {seconds:.0f} s", highlight=False)
        yield Served(server.url, engine, dialect, channel, client)


async def joined(url: str, dialect: VllmDialect, model: Decoder) -> HttpEngine:
    """An engine over the server."""
    return await HttpEngine.join(url, dialect, max_rows=MAX_ROWS, seconds=SECONDS, vocabulary=model.config.vocab_size)
