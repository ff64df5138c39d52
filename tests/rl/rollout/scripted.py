"""An engine that says what it is told, and environments that misbehave: for what a real policy does too rarely."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import torch

from espalier.core.messages import Message, ToolSpec
from espalier.engine.api import Completion, EngineStats, Finish, PauseMode, Sampling
from espalier.engine.updates import WeightUpdate
from espalier.envs.api import Split, Step, Task
from espalier.lm.chat.plain import PlainRenderer
from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder
from espalier.lm.tokens import Tokenizer, char_tokenizer
from espalier.rl.rollout.session import Session
from espalier.rl.trajectory import Trajectory

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789=+*#?! "


def tokenizer() -> Tokenizer:
    """Single characters and the control tokens."""
    return char_tokenizer(ALPHABET)


def talker() -> Decoder:
    """A small model that does not say everything with equal probability."""
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    size = tokenizer().vocab_size
    decoder = Decoder(DecoderConfig(family="qwen3", vocab_size=size, num_key_value_heads=2, head_dim=8, **shape))
    decoder.reset(seed=1)
    with torch.no_grad():
        decoder.model.embed_tokens.weight *= 4.0
    return decoder


@dataclass
class ScriptedEngine:
    """Answers call `i` with `script[i]`: text and how it ends. Cuts at `max_tokens`, as an engine would."""

    script: Sequence[tuple[str, Finish]]
    tokenizer: Tokenizer
    version: int = 0
    max_len: int = 1000
    asked: list[tuple[list[int], Sampling, str]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)

    async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
        text, finish = self.script[len(self.asked)]
        self.asked.append((list(prompt), sampling, session))
        ids = self.tokenizer.encode(text) + ([self.tokenizer.id("<|end|>")] if finish == "stop" else [])
        if len(ids) > sampling.max_tokens:
            ids, finish = ids[: sampling.max_tokens], "length"
        versions = [self.version] * len(ids)
        if finish == "abort":
            self.version += 1
        return Completion(ids, [-0.5] * len(ids), [-0.5] * len(ids), versions, finish, 0, len(prompt), 0.0)

    async def sleep(self) -> None:
        pass

    async def release(self, session: str) -> None:
        self.released.append(session)

    async def score(self, tokens: Sequence[int]) -> list[float]:
        raise AssertionError("nothing here scores")

    async def pause(self, mode: PauseMode) -> None: ...

    async def load(self, update: WeightUpdate) -> None: ...

    async def resume(self) -> None: ...

    async def stats(self) -> EngineStats:
        return EngineStats(version=self.version)


Behaviour = Callable[[int, Message], Step]


@dataclass
class ScriptedEnv:
    """Asks `q`, then does what `behaviour(turn, action)` says. `broken` names a stage that raises or hangs."""

    behaviour: Behaviour
    broken: str = ""
    name: str = "scripted"
    offered: list[ToolSpec] = field(default_factory=list)
    turn: int = 0
    closed: int = 0

    def tools(self) -> list[ToolSpec]:
        return self.offered

    async def reset(self, task: Task) -> list[Message]:
        await self._trouble("reset")
        return [Message.user("q?")]

    async def step(self, action: Message) -> Step:
        await self._trouble("step")
        self.turn += 1
        return self.behaviour(self.turn, action)

    async def close(self) -> None:
        self.closed += 1
        await self._trouble("close")

    async def _trouble(self, stage: str) -> None:
        if self.broken == f"{stage} raises":
            raise KeyError("boom")
        if self.broken == f"{stage} hangs":
            await asyncio.sleep(60)


@dataclass
class ScriptedTasks:
    """A task set of one environment; `make` is called for each episode."""

    make: Callable[[], ScriptedEnv]
    name: str = "scripted"

    def __len__(self) -> int:
        return 1000

    def task(self, split: Split, index: int) -> Task:
        return Task("scripted", f"{split}{index}", {}, split)

    def env(self, task: Task) -> ScriptedEnv:
        return self.make()

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        return ()

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        return [Message.user("q?"), Message.assistant("a")]


TASK = Task("scripted", "k", {})


def session(engine: ScriptedEngine, *, max_tokens: int = 100, name: str = "s") -> Session:
    """A session over `engine` with a fresh row."""
    renderer = PlainRenderer(engine.tokenizer)
    sampling = Sampling(max_tokens=max_tokens, stop=renderer.stop, seed=3)
    return Session(engine, renderer, Trajectory("scripted", "k"), sampling, name=name)
