"""Builds an engine, and the channel by which it gets weights, from the recipe section `engine:`."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import assert_never

from espalier.core.errors import ConfigError
from espalier.core.io.scratch import scratch
from espalier.core.net.key import read_key
from espalier.core.sockets import free_port
from espalier.engine.api import Capabilities, Engine
from espalier.engine.channels.api import Channel, Direct
from espalier.engine.channels.disk import Adapters, Disk
from espalier.engine.channels.shm import SharedMemory
from espalier.engine.channels.transfer import Transfer
from espalier.engine.config import EngineConfig
from espalier.engine.embedded import embedded
from espalier.engine.http.engine import HttpEngine
from espalier.engine.http.sglang import SglangDialect
from espalier.engine.http.vllm import VllmDialect
from espalier.engine.launch import vllm as launch
from espalier.engine.pool.member import Launch, Limits, Member
from espalier.engine.pool.pool import Pool
from espalier.engine.process.cores import divided
from espalier.engine.process.engine import ProcessEngine
from espalier.lm.checkpoint.files import save_weights
from espalier.lm.checkpoint.weights import named
from espalier.lm.decoder import Decoder
from espalier.lm.lora import base_tensors, lora_shape

Say = Callable[[str], None]


def build_engine(
    model: Decoder,
    config: EngineConfig,
    *,
    overlap: bool = False,
    say: Say = lambda text: None,
    logs: Path | None = None,
) -> tuple[Engine, Channel]:
    """The engine of the config, with the weights of `model`. `overlap`: it samples while a learner changes `model`.
    `say` is told of engines that are lost. `logs`: a folder for what servers print; without it that is not kept.
    """
    match config.kind:
        case "local":
            return embedded(model, config, overlap=overlap), Direct()
        case "process":
            cores = divided(config.count, overlap=overlap, threads=config.threads)
            launches = [
                partial(ProcessEngine.start, model, config, threads=cores.threads, cores=own, gather=not overlap)
                for own in cores.engines
            ]
            return pool(launches, ProcessEngine.CAPABILITIES, config, say), SharedMemory()
        case "vllm" | "sglang":
            return servers(model, config, overlap=overlap, say=say, logs=logs)
        case _:
            assert_never(config.kind)


def servers(
    model: Decoder, config: EngineConfig, *, overlap: bool, say: Say, logs: Path | None
) -> tuple[Engine, Channel]:
    """Servers of vLLM or SGLang, joined or started."""
    chosen = config.servers
    assert chosen is not None
    rank = lora_shape(model)[0] if chosen.adapters else 0
    channel: Channel = Adapters(model) if rank else Disk(model)
    if config.kind == "vllm" and config.vllm.transfer:
        channel = Transfer(model)
    dialect = (VllmDialect if config.kind == "vllm" else SglangDialect)(updates=frozenset((channel.kind,)))
    join = partial(
        HttpEngine.join,
        dialect=dialect,
        max_rows=config.max_rows,
        seconds=config.request_seconds,
        vocabulary=model.config.vocab_size,
        key=read_key(chosen.key_env, f"engine.{config.kind}.key_env"),
    )
    launches: list[Launch] = [partial(join, url) for url in chosen.urls]
    if not launches:
        launch.require(Path(config.vllm.python))
        cores = divided(config.count, overlap=overlap, threads=config.threads)
        launches = [partial(_launched_vllm, model, config, own, rank, join, logs) for own in cores.engines]
    return pool(launches, dialect.capabilities, config, say), channel


async def _launched_vllm(
    model: Decoder,
    config: EngineConfig,
    cores: list[int],
    rank: int,
    join: Callable[..., Awaitable[HttpEngine]],
    logs: Path | None,
) -> HttpEngine:
    """A server over a copy of the model as it is now."""
    place, chosen, port = scratch(), config.vllm, free_port()
    words = launch.command(
        Path(chosen.python),
        place / "model",
        port,
        dtype={"fp32": "float32", "bf16": "bfloat16", "auto": "auto"}[config.precision],
        max_len=config.max_len,
        max_rows=config.max_rows,
        lora_rank=rank,
        more=chosen.args,
    )
    env = launch.environment(lora=rank > 0, kv_gib=chosen.kv_gib, cores=cores)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, place, ignore_errors=True)
        save_weights(model.config, base_tensors(named(model)), place / "model")
        log = (logs or place) / f"vllm_{port}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        server = await launch.start(words, port, env, log, seconds=chosen.start_seconds)
        undo.callback(server.end)
        ending = ExitStack()
        engine = await join(server.url, end=ending.close)
        ending.push(undo.pop_all())
    return engine


def pool(launches: Sequence[Launch], capabilities: Capabilities, config: EngineConfig, say: Say) -> Pool:
    """Engines elsewhere as one."""
    limits = Limits(request=config.request_seconds, heartbeat=config.heartbeat_seconds)
    members = [Member(f"engine {number}", start, limits) for number, start in enumerate(launches)]
    return Pool(
        members,
        capabilities=capabilities,
        max_len=config.max_len,
        max_rows=config.max_rows * len(members),
        limits=limits,
        say=say,
    )


def check_capabilities(engine: Engine, channel: Channel, *, pause: str, probe: bool) -> None:
    """Raises ConfigError, before a run starts, if it needs something that the engine cannot do."""
    able = engine.capabilities
    if channel.kind not in able.updates:
        raise ConfigError(f"the engine cannot be given weights as {channel.kind}; it accepts {_list(able.updates)}")
    if pause not in able.pauses:
        raise ConfigError(f"the engine cannot be paused with {pause!r}; it has {_list(able.pauses)}")
    if probe and not able.score:
        raise ConfigError("the engine cannot score, so nothing would show whether it serves the weights it was given")


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
