"""An engine that is a server elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from espalier.core.errors import EngineError, EngineLostError
from espalier.core.net.http import HttpClient, RefusedError, UnreachableError
from espalier.engine.api import Capabilities, Completion, EngineStats, PauseMode, Sampling
from espalier.engine.config import CONTROL_SECONDS
from espalier.engine.http.dialect import Call, Dialect
from espalier.engine.probe import publish
from espalier.engine.requests import check_ids, check_length, check_update
from espalier.engine.updates import WeightUpdate


class HttpEngine:
    """Implements `espalier.engine.api.Engine` over a server. Made by `join`.

    Raises EngineLostError where the server does not answer, and EngineError where it refuses.
    """

    def __init__(
        self,
        client: HttpClient,
        dialect: Dialect,
        *,
        model: str,
        max_len: int,
        max_rows: int,
        seconds: float,
        vocabulary: int = 0,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """model: its name there. seconds: deadline of a completion. vocabulary: its size; 0 if it is not known. end:
        ends the server, if it was started for this.
        """
        self._client = client
        self._dialect = dialect
        self._model = model
        self._max_len = max_len
        self._max_rows = max_rows
        self._seconds = seconds
        self._vocabulary = vocabulary
        self._end = end
        self._version = 0
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._counted = EngineStats()
        self._under_way: list[int] = []
        """Of each completion that was asked for and not answered, the version with which it began."""
        self._idle, self._open = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._open.set()
        self._closed = False
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def join(
        cls,
        url: str,
        dialect: Dialect,
        *,
        max_rows: int,
        seconds: float,
        vocabulary: int = 0,
        key: str = "",
        end: Callable[[], None] = lambda: None,
    ) -> HttpEngine:
        """The engine behind the running server at `url`. Raises EngineLostError if there is none."""
        client = HttpClient(url, key=key)
        async with _as_engine_errors():
            model, max_len = await dialect.describe(client, seconds=CONTROL_SECONDS)
        return cls(
            client,
            dialect,
            model=model,
            max_len=max_len,
            max_rows=max_rows,
            seconds=seconds,
            vocabulary=vocabulary,
            end=end,
        )

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine`."""
        return self._dialect.capabilities

    @property
    def version(self) -> int:
        """See `Engine`."""
        return self._version

    @property
    def max_len(self) -> int:
        """See `Engine`."""
        return self._max_len

    @property
    def max_rows(self) -> int:
        """See `Engine`."""
        return self._max_rows

    async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
        """See `Engine`. The server finds the KV cache of a conversation by its tokens."""
        self._check(prompt, sampling)
        begun = time.perf_counter()
        await self._open.wait()
        if self._closed:
            raise EngineLostError(f"the engine on {self._client.url} was closed before it began a request")
        name = f"r{next(self._numbers)}"
        async with _as_engine_errors():
            with self._counting():
                done = await self._dialect.generate(self._call(self._seconds), prompt, sampling, name)
        lengths = {len(done.tokens), len(done.logprobs), len(done.raw_logprobs), len(done.versions)}
        if len(lengths) > 1 or len(done.tokens) > sampling.max_tokens:
            raise EngineError(
                f"the server answered with {len(done.tokens)} tokens of {sampling.max_tokens}, {len(done.logprobs)} "
                f"log-probs and {len(done.versions)} versions"
            )
        self._count(len(prompt), done)
        return replace(done, seconds=time.perf_counter() - begun)

    async def score(self, tokens: Sequence[int]) -> list[float]:
        """See `Engine`."""
        check_ids(tokens, self._vocabulary)
        async with _as_engine_errors():
            return await self._dialect.score(self._call(), tokens)

    async def pause(self, mode: PauseMode) -> None:
        """See `Engine`. New completions wait here, so that they begin with the version that is loaded. `finish` waits
        for the completions of this client.
        """
        self._open.clear()
        try:
            if mode == "finish":
                await self._idle.wait()
            async with _as_engine_errors():
                await self._dialect.pause(self._call(), "abort" if mode == "abort" else "keep")
        except BaseException:
            self._open.set()
            raise

    async def load(self, update: WeightUpdate) -> None:
        """See `Engine`."""
        check_update(self.capabilities, update)
        async with _as_engine_errors():
            self._model = await self._dialect.load(self._call(), update)
        self._version = update.version

    async def resume(self) -> None:
        """See `Engine`."""
        async with _as_engine_errors():
            await self._dialect.resume(self._call())
        self._open.set()

    async def publish(self, update: WeightUpdate, mode: PauseMode = "keep") -> None:
        """See `Engine`."""
        await publish(self, update, mode)

    async def sleep(self) -> None:
        """See `Engine`. A server keeps its memory."""

    async def release(self, session: str) -> None:
        """See `Engine`. A server frees its cache by itself."""

    async def stats(self) -> EngineStats:
        """See `Engine`. Where the server tells no counters, they are those of this client's completions."""
        async with _as_engine_errors():
            found = await self._dialect.stats(self._call())
        if found is None:
            found = replace(self._counted, running=len(self._under_way))
        found.version = self._version
        return found

    async def close(self) -> None:
        """See `Engine`. Requests that wait for the end of a pause are told."""
        self._closed = True
        self._open.set()
        await self._client.close()
        await asyncio.to_thread(self._end)

    def kill(self) -> None:
        """End the server, if it was started for this engine."""
        self._closing = asyncio.ensure_future(self.close())

    def _call(self, seconds: float = CONTROL_SECONDS) -> Call:
        oldest = min(self._under_way, default=self._version)
        return Call(self._client, self._model, self._version, seconds, self._run, oldest)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Count a completion as under way."""
        version = self._version
        self._under_way.append(version)
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way.remove(version)
            if not self._under_way:
                self._idle.set()

    def _count(self, prompt: int, done: Completion) -> None:
        self._counted.prompt_tokens += prompt
        self._counted.cached_tokens += done.cached
        self._counted.prefilled_tokens += done.prefilled
        self._counted.sampled_tokens += len(done.tokens)

    def _check(self, prompt: Sequence[int], sampling: Sampling) -> None:
        """Refuse what servers cut short, or answer wrongly, without a word."""
        check_ids(prompt, self._vocabulary)
        check_length(prompt, sampling, self._max_len, limit="the server's model has ")
        if sampling.stop_sequences:
            raise EngineError("a server ends a completion at single tokens, not at sequences of them")


@asynccontextmanager
async def _as_engine_errors() -> AsyncIterator[None]:
    try:
        yield
    except RefusedError as error:
        raise EngineError(str(error)) from None
    except UnreachableError as error:
        raise EngineLostError(str(error)) from None
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineError(f"the server's answer is not of the form expected: {error!r}") from error
