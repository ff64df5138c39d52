"""The embedded engine: continuous batching in this process, on this thread.

One asyncio task takes steps while there is work and yields to the callers in between. Nothing else touches the KV, so a
weight update between two steps is atomic, and equal calls in equal order give equal tokens.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncGenerator, Callable
from collections.abc import Sequence as Ordered
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from espalier.core.errors import EngineError
from espalier.engine.api import Capabilities, Completion, EngineStats, PauseMode, Progress, Sampling
from espalier.engine.batching import memory
from espalier.engine.batching.memory import Sizes
from espalier.engine.batching.sampler import check
from espalier.engine.batching.scoring import Scorer, failure
from espalier.engine.batching.sequence import Sequence
from espalier.engine.batching.stepper import Stepper
from espalier.engine.channels.shm import SharedReader
from espalier.engine.config import PREFILL_TOKENS, RETAIN_ROWS, EngineConfig
from espalier.engine.forward.choice import engine_dtype, runner_for
from espalier.engine.forward.packed import packable
from espalier.engine.kv.sessions import Sessions
from espalier.engine.kv.slab import Slab
from espalier.engine.probe import publish
from espalier.engine.requests import check_ids, check_length
from espalier.engine.updates import WeightUpdate
from espalier.engine.weights import round_matrices, take
from espalier.lm.decoder import Decoder


class LocalEngine:
    """Implements `espalier.engine.api.Engine` over a decoder; the arguments are those of `EngineConfig`.

    With `weights="alias"` the engine shares `model` with the learner, who calls `load` after each change; derived
    weights are recomputed then. With `"copy"` it has its own weights.
    """

    def __init__(
        self,
        model: Decoder,
        *,
        max_rows: int,
        max_len: int,
        prefill_tokens: int = PREFILL_TOKENS,
        retain_rows: int = RETAIN_ROWS,
        weights: Literal["alias", "copy"] = "alias",
        precision: Literal["fp32", "bf16", "auto"] = "fp32",
        quantize: Literal["none", "int8"] = "none",
    ) -> None:
        self.config = EngineConfig.of(
            max_rows=max_rows,
            max_len=max_len,
            prefill_tokens=prefill_tokens,
            retain_rows=retain_rows,
            weights=weights,
            precision=precision,
            quantize=quantize,
        )
        self.model = copy.deepcopy(model) if weights == "copy" else model
        if quantize == "int8":
            round_matrices(self.model)
        shape, parameter = self.model.config, next(self.model.parameters())
        packed = packable(self.model)
        self._dtype = engine_dtype(self.model, precision, packed=packed)
        self._sizes = Sizes(max_rows, max_len, retain_rows)
        memory.require(shape, self._dtype, self._sizes, memory.free_bytes(parameter.device))
        slab = Slab(
            layers=shape.num_hidden_layers,
            rows=max_rows + retain_rows,
            kv_heads=shape.num_key_value_heads,
            max_len=max_len,
            head_dim=shape.head_dim,
            hidden_size=shape.hidden_size,
            dtype=self._dtype,
            device=parameter.device,
            hidden_dtype=torch.float32 if packed else None,
        )
        runner = runner_for(self.model, slab, packed=packed)
        self._stepper = Stepper(runner, slab, self.config, heads=shape.num_attention_heads)
        self._waiting: dict[Sequence, asyncio.Future[Completion]] = {}
        self.before_step: Callable[[], None] = lambda: None
        """Called before each step, which holds up the event loop."""
        self._sessions = Sessions()
        self._paused: PauseMode | None = None
        self._asleep = False
        self._driver: asyncio.Task[None] | None = None
        self._streams: dict[Sequence, asyncio.Event] = {}
        self._reader = SharedReader()
        self._scorer = Scorer(self.model, prefill_tokens)

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine`. If the weights are shared with the learner, only `TensorUpdate` is supported."""
        shared = self.config.weights == "alias"
        return Capabilities(updates=frozenset(("tensors",) if shared else ("tensors", "shared", "files", "adapter")))

    @property
    def version(self) -> int:
        """The policy version that samples now."""
        return self._stepper.stats.version

    @property
    def max_len(self) -> int:
        """See `Engine`."""
        return self.config.max_len

    @property
    def max_rows(self) -> int:
        """See `Engine`."""
        return self.config.max_rows

    async def generate(self, prompt: Ordered[int], sampling: Sampling, *, session: str = "") -> Completion:
        """See `Engine`. A request that cannot fit raises EngineError; cancelling the awaiting task frees its row."""
        sequence, future = self._submit(prompt, sampling, session)
        try:
            completion: Completion = await future
            return completion
        finally:
            self._withdraw(sequence)

    async def stream(self, prompt: Ordered[int], sampling: Sampling, *, top: int = 0) -> AsyncGenerator[Progress, None]:
        """Like `generate`, but yields tokens as they are sampled, with the `top` most probable tokens at each place.

        The last item has the finish reason. Closing the iterator early frees the row.
        """
        sequence, future = self._submit(prompt, sampling, "")
        sequence.streamed, sequence.top = True, top
        stepped = self._streams[sequence] = asyncio.Event()
        try:
            while not future.done():
                await stepped.wait()
                stepped.clear()
                if future.done() and future.exception() is not None:
                    break
                while sequence.news:
                    yield sequence.news.popleft()
            future.result()
        finally:
            del self._streams[sequence]
            self._withdraw(sequence)

    async def score(self, tokens: Ordered[int]) -> list[float]:
        """See `Engine`."""
        check_ids(tokens, self.model.config.vocab_size)
        return await self._scorer.score(tokens)

    async def pause(self, mode: PauseMode) -> None:
        """See `Engine`. Returns when the mode is in effect; requests that have no row yet stay queued."""
        if mode not in ("abort", "finish", "keep"):
            raise EngineError(f"pause mode {mode!r} does not exist: use abort, finish or keep")
        self._paused = mode
        if mode == "abort":
            for sequence in self._stepper.running:
                self._resolve(sequence, self._stepper.abort(sequence))
            self._report()
        while mode == "finish" and self._stepper.running:
            self._wake()
            assert self._driver is not None
            await asyncio.wait({self._driver})

    async def load(self, update: WeightUpdate) -> None:
        """See `Engine`. All names and shapes are checked before the first tensor is applied."""
        if update.kind not in self.capabilities.updates:
            raise EngineError(
                f"this engine shares the learner's weights, and does not accept updates of the kind {update.kind}: "
                "set engine.weights=copy"
            )
        take(self.model, update, alias=self.config.weights == "alias", reader=self._reader)
        if self.config.quantize == "int8":
            round_matrices(self.model)
        self._stepper.set_version(update.version)
        self._asleep = False

    async def resume(self) -> None:
        """See `Engine`."""
        self._paused = None
        self._wake()

    async def publish(self, update: WeightUpdate, mode: PauseMode = "keep") -> None:
        """See `Engine`."""
        await publish(self, update, mode)

    async def sleep(self) -> None:
        """See `Engine`. Frees the packed copy of the weights."""
        if not self._stepper.busy:
            self._asleep = self._stepper.runner.discard()

    async def release(self, session: str) -> None:
        """See `Engine`."""
        if number := self._sessions.end(session):
            self._stepper.index.unpin(number)

    async def stats(self) -> EngineStats:
        """See `Engine`."""
        return self.counters

    @property
    def counters(self) -> EngineStats:
        """The same, at once."""
        stepper = self._stepper
        return replace(stepper.stats, running=len(stepper.running), waiting=len(stepper.scheduler.waiting))

    async def close(self) -> None:
        """See `Engine`. Nothing to end."""

    def describe(self) -> str:
        """See `StreamingEngine`."""
        return memory.describe(self.model.config, self._dtype, self._sizes)

    def _wake(self) -> None:
        if (self._driver is None or self._driver.done()) and self._runnable:
            self._driver = asyncio.get_running_loop().create_task(self._drive())

    @property
    def _runnable(self) -> bool:
        if self._paused is None:
            return self._stepper.busy
        return self._paused == "finish" and bool(self._stepper.running)

    async def _drive(self) -> None:
        """Step while there is work. An error of a step ends the requests in it, and leaves the engine usable."""
        while self._runnable:
            self.before_step()
            try:
                for sequence, outcome in self._stepper.step(admit=self._paused is None):
                    self._resolve(sequence, outcome)
                self._report()
            except Exception as error:
                self._fail(error)
            await asyncio.sleep(0)

    def _submit(
        self, prompt: Ordered[int], sampling: Sampling, session: str
    ) -> tuple[Sequence, asyncio.Future[Completion]]:
        self.check(prompt, sampling)
        if self._asleep:
            raise EngineError("the engine sleeps since its weights were freed: call load before the next request")
        ids = np.array(prompt, dtype=np.int64)
        sequence = Sequence(ids, sampling, self._sessions.number(session), submitted=time.perf_counter())
        future = self._waiting[sequence] = asyncio.get_running_loop().create_future()
        self._stepper.submit(sequence)
        self._wake()
        return sequence, future

    def _resolve(self, sequence: Sequence, outcome: Completion | EngineError) -> None:
        future = self._waiting.pop(sequence, None)
        if future is not None and not future.done():
            if isinstance(outcome, EngineError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        if sequence in self._streams:
            self._streams[sequence].set()

    def _withdraw(self, sequence: Sequence) -> None:
        """The caller has left. Where it left early, free what its request holds."""
        if self._waiting.pop(sequence, None) is not None:
            self._stepper.abort(sequence)

    def _report(self) -> None:
        """Wake the streams whose requests have news. One that cannot be told fails alone."""
        for sequence, stepped in list(self._streams.items()):
            if sequence in self._waiting:
                try:
                    self._stepper.report(sequence)
                except Exception as error:
                    sequence.streamed = False
                    self._stepper.abort(sequence)
                    self._resolve(sequence, failure(error, "while reporting a token"))
            if sequence.news:
                stepped.set()

    def _fail(self, error: Exception) -> None:
        """A step failed: so do the requests that had a row in it, or all that wait where none had."""
        stepper = self._stepper
        lost = self._waiting.keys() - set(stepper.scheduler.waiting) or list(self._waiting)
        stepper.reset()
        for sequence in lost:
            if sequence in stepper.scheduler.waiting:
                stepper.scheduler.cancel(sequence)
            self._resolve(sequence, failure(error, "in a step"))

    def check(self, prompt: Ordered[int], sampling: Sampling) -> None:
        """Raise EngineError if a request cannot be served: settings out of range, unknown ids, too long."""
        check(sampling)
        check_ids(prompt, self.model.config.vocab_size)
        check_length(prompt, sampling, self.config.max_len, limit="the engine has max_len=")
