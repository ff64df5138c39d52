"""Several engines as one: routing, publishing to all of them, and moving requests away from one that is lost.

Invariants. A completion with tokens of a new version is held until the engine has passed the probe of that version. An
engine that was started again gets no request before it has the current weights and has passed their probe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from espalier.core.errors import EngineError, EngineLostError
from espalier.engine.api import Capabilities, Completion, EngineStats, PauseMode, Sampling
from espalier.engine.pool.member import Limits, Member, _sum
from espalier.engine.pool.routing import key_of, route
from espalier.engine.updates import WeightUpdate


class Pool:
    """Implements `Engine` over its members, which are started by the first call.

    A request goes to the engine that its conversation hashes to. If that engine is lost, the request begins again
    elsewhere, or when the engine is back, and is counted in `EngineStats.repeated`.
    """

    def __init__(
        self,
        members: Sequence[Member],
        *,
        capabilities: Capabilities,
        max_len: int,
        max_rows: int,
        limits: Limits,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """max_rows: of all members together. say: is told of every engine that is lost or back."""
        self._members = {member.name: member for member in members}
        self._capabilities = capabilities
        self._max_len = max_len
        self._max_rows = max_rows
        self._limits = limits
        self._say = say
        self._latest: WeightUpdate | None = None
        self._proven = asyncio.Condition()
        self._publishing = asyncio.Lock()
        self._repeated = 0
        self._tasks = set[asyncio.Task[None]]()
        self._starting: asyncio.Task[None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine`."""
        return self._capabilities

    @property
    def version(self) -> int:
        """See `Engine`."""
        return self._latest.version if self._latest else 0

    @property
    def max_len(self) -> int:
        """See `Engine`."""
        return self._max_len

    @property
    def max_rows(self) -> int:
        """See `Engine`."""
        return self._max_rows

    async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
        """See `Engine`. Raises EngineError if no engine is left, or none has answered within the deadline."""
        key, why = key_of(session, prompt), ""
        for attempt in range(self._limits.restarts + 1):
            self._repeated += attempt > 0
            member = await self._pick(key)
            try:
                async with asyncio.timeout(self._limits.request):
                    completion = await member.engine.generate(prompt, sampling, session=session)
                await self._wait_for_probe(member)
                return completion
            except TimeoutError:
                why = f"a request of {len(prompt)} tokens waited {self._limits.request:g} s for {member.name}"
            except EngineLostError as error:
                why = str(error)
            self._lose(member, why)
        raise EngineError(f"a request was begun {self._limits.restarts + 1} times: {why}")

    async def score(self, tokens: Sequence[int]) -> list[float]:
        """See `Engine`."""
        while True:
            member = await self._pick(key_of("", tokens))
            try:
                return await member.control(member.engine.score(tokens), "a score")
            except EngineLostError as error:
                self._lose(member, str(error))

    async def pause(self, mode: PauseMode) -> None:
        """See `Engine`. No lost engine comes back until `resume`."""
        await self._start()
        await self._publishing.acquire()
        await self._each("a pause", lambda member: member.engine.pause(mode))

    async def publish(self, update: WeightUpdate, mode: PauseMode = "keep") -> None:
        """See `Engine`. Returns when every engine has passed the probe, or was taken out to be started again."""
        await self._start()
        self._accepts(update)
        async with self._publishing:
            self._latest = update
            await self._each("a publish", lambda member: member.engine.publish(update, mode))
        await self._tell()

    async def load(self, update: WeightUpdate) -> None:
        """See `Engine`. An engine that cannot load the weights is started again."""
        await self._start()
        self._accepts(update)
        self._latest = update
        await self._each("a load", lambda member: member.engine.load(update))

    async def resume(self) -> None:
        """See `Engine`."""
        await self._each("a resume", lambda member: member.engine.resume())
        if self._publishing.locked():
            self._publishing.release()
        await self._tell()

    async def sleep(self) -> None:
        """See `Engine`."""
        await self._each("a sleep", lambda member: member.engine.sleep())

    async def release(self, session: str) -> None:
        """See `Engine`."""
        names = [name for name, member in self._members.items() if member.up.is_set()]
        if names:
            with suppress(EngineLostError):
                await self._members[route(session, names)].engine.release(session)

    async def stats(self) -> EngineStats:
        """See `Engine`. Sums over the members."""
        await self._start()
        total = EngineStats()
        for member in self._members.values():
            try:
                found = await member.stats() if member.up.is_set() else member.before
            except EngineLostError as error:
                self._lose(member, str(error))
                found = member.before
            running, waiting = total.running + found.running, total.waiting + found.waiting
            total = _sum(found, total)
            total.running, total.waiting = running, waiting
        total.version, total.repeated = self.version, self._repeated
        total.lost = sum(member.lost for member in self._members.values())
        return total

    async def close(self) -> None:
        """End all engines."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(member.close() for member in self._members.values()))

    async def _start(self) -> None:
        """Start all members, once. Raises EngineError if one cannot be started."""
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start_all())
        await asyncio.shield(self._starting)

    async def _start_all(self) -> None:
        await asyncio.gather(*(member.start(None) for member in self._members.values()))
        for member in self._members.values():
            if member.given_up:
                raise EngineError(f"{member.name} cannot be started: {member.given_up}")
        self._spawn(self._watch())

    async def _watch(self) -> None:
        """Look at every member again and again."""
        while True:
            await asyncio.sleep(self._limits.heartbeat)
            for member in self._members.values():
                if member.up.is_set():
                    try:
                        await member.stats()
                    except EngineLostError as error:
                        self._lose(member, str(error))

    def _lose(self, member: Member, why: str) -> None:
        """Take a member out, and start it again."""
        if not member.up.is_set():
            return
        member.drop()
        member.lost += 1
        self._say(f"{member.name} is lost: {why}; its requests begin again")
        self._spawn(self._return(member))

    async def _return(self, member: Member) -> None:
        async with self._publishing:
            await member.start(self._latest)
        self._say(f"{member.name} is given up: {member.given_up}" if member.given_up else f"{member.name} is back")
        await self._tell()

    async def _tell(self) -> None:
        """Wake whoever waits for an engine, or for the end of a publish."""
        async with self._proven:
            self._proven.notify_all()

    def _accepts(self, update: WeightUpdate) -> None:
        if update.kind not in self._capabilities.updates:
            raise EngineError(f"these engines do not accept updates of the kind {update.kind}")

    async def _pick(self, key: str) -> Member:
        """The member for `key`, as soon as one is up. Raises EngineError if none will be."""
        await self._start()
        while True:
            names = [name for name, member in self._members.items() if member.up.is_set()]
            if names:
                return self._members[route(key, names)]
            if all(member.given_up for member in self._members.values()):
                why = "; ".join(f"{member.name}: {member.given_up}" for member in self._members.values())
                raise EngineError(f"no engine is left ({why})")
            async with self._proven:
                await self._proven.wait()

    async def _wait_for_probe(self, member: Member) -> None:
        """Wait while weights are published. Raises EngineLostError if the member did not pass the probe."""
        while self._publishing.locked() and member.up.is_set():
            async with self._proven:
                await self._proven.wait()
        if not member.up.is_set():
            raise EngineLostError(f"{member.name} was taken out before its answer could be trusted")

    async def _each(self, what: str, call: Callable[[Member], Awaitable[None]]) -> None:
        """Call every member that is up. One that is lost or fails is taken out."""

        async def one(member: Member) -> None:
            try:
                await member.control(call(member), what)
            except EngineError as error:
                self._lose(member, f"{what} failed: {error}")

        await asyncio.gather(*(one(member) for member in self._members.values() if member.up.is_set()))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
