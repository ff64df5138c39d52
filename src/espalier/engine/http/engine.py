"""An engine that is a server elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
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
        async with _as_engine_errors():
            done = await self._dialect.generate(self._call(self._seconds), prompt, sampling, f"r{next(self._numbers)}")
        lengths = {len(done.tokens), len(done.logprobs), len(done.raw_logprobs), len(done.versions)}
        if len(lengths) > 1 or len(done.tokens) > sampling.max_tokens:
            raise EngineError(
                f"the server answered with {len(done.tokens)} tokens of {sampling.max_tokens}, {len(done.logprobs)} "
                f"log-probs and {len(done.versions)} versions"
            )
        return replace(done, seconds=time.perf_counter() - begun)

    async def score(self, tokens: Sequence[int]) -> list[float]:
        """See `Engine`."""
        check_ids(tokens, self._vocabulary)
        async with _as_engine_errors():
            return await self._dialect.score(self._call(), tokens)

    async def pause(self, mode: PauseMode) -> None:
        """See `Engine`."""
        async with _as_engine_errors():
            await self._dialect.pause(self._call(), mode)

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

    async def publish(self, update: WeightUpdate, mode: PauseMode = "keep") -> None:
        """See `Engine`."""
        await publish(self, update, mode)

    async def sleep(self) -> None:
        """See `Engine`. A server keeps its memory."""

    async def release(self, session: str) -> None:
        """See `Engine`. A server frees its cache by itself."""

    async def stats(self) -> EngineStats:
        """See `Engine`."""
        async with _as_engine_errors():
            found = await self._dialect.stats(self._call())
        found.version = self._version
        return found

    async def close(self) -> None:
        """See `Engine`."""
        await self._client.close()
        await asyncio.to_thread(self._end)

    def kill(self) -> None:
        """End the server, if it was started for this engine."""
        self._closing = asyncio.ensure_future(self.close())

    def _call(self, seconds: float = CONTROL_SECONDS) -> Call:
        return Call(self._client, self._model, self._version, seconds, self._run)

    def _check(self, prompt: Sequence[int], sampling: Sampling) -> None:
        """Refuse what servers cut short, or answer wrongly, without a word."""
        check_ids(prompt, self._vocabulary)
        check_length(prompt, sampling, self._max_len, limit="the server's model has ")


@asynccontextmanager
async def _as_engine_errors() -> AsyncIterator[None]:
    try:
        yield
    except RefusedError as error:
        raise EngineError(str(error)) from None
    except UnreachableError as error:
        raise EngineLostError(str(error)) from None
