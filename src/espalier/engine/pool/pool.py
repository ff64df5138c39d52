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
from espalier.engine.pool.member import Limits, Managed, Member, added
from espalier.engine.pool.routing import key_of, route
from espalier.engine.requests import check_update
from espalier.engine.updates import WeightUpdate

ALIVE_SECONDS = 5.0
"""Time in which an engine that has not answered a request must show that it is alive."""


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
        """Held while weights are given to engines, to all of them or to one that returns."""
        self._in_publish = False
        self._repeated = 0
        self._tasks = set[asyncio.Task[None]]()
        self._starting: asyncio.Task[None] | None = None

    @property
    def members(self) -> Sequence[Member]:
        """The engines."""
        return list(self._members.values())

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
        """See `Engine`. Raises EngineError if no engine is left, if one did not answer within the deadline, or if the
        request was begun too often.
        """
        key, why = key_of(session, prompt), ""
        for attempt in range(self._limits.restarts + 1):
            self._repeated += attempt > 0
            member = await self._pick(key)
            engine = member.engine
            try:
                async with asyncio.timeout(self._limits.request):
                    completion = await engine.generate(prompt, sampling, session=session)
                await self._wait_for_probe(member, engine)
                member.succeeded()
                return completion
            except TimeoutError:
                why = f"a request of {len(prompt)} tokens waited {self._limits.request:g} s for {member.name}"
                if await self._answers(member):
                    raise EngineError(f"{why}: raise engine.request_seconds, or let fewer attempts run") from None
            except EngineLostError as error:
                why = str(error)
            self._lose(member, engine, why)
        raise EngineError(f"a request was begun {self._limits.restarts + 1} times: {why}")

    async def score(self, tokens: Sequence[int]) -> list[float]:
        """See `Engine`."""
        why = ""
        for _ in range(self._limits.restarts + 1):
            member = await self._pick(key_of("", tokens))
            engine = member.engine
            try:
                return await member.control(engine.score(tokens), "a score")
            except EngineLostError as error:
                why = str(error)
                self._lose(member, engine, why)
        raise EngineError(f"a score was begun {self._limits.restarts + 1} times: {why}")

    async def pause(self, mode: PauseMode) -> None:
        """See `Engine`. No lost engine comes back until `resume`."""
        await self._start()
        await self._publishing.acquire()
        self._in_publish = True
        await self._each("a pause", lambda engine: engine.pause(mode))

    async def publish(self, update: WeightUpdate, mode: PauseMode = "keep") -> None:
        """See `Engine`. Returns when every engine has passed the probe, or was taken out to be started again."""
        await self._start()
        check_update(self.capabilities, update)
        async with self._publishing:
            self._latest, self._in_publish = update, True
            try:
                await self._each("a publish", lambda engine: engine.publish(update, mode))
            finally:
                self._in_publish = False
        await self._tell()

    async def load(self, update: WeightUpdate) -> None:
        """See `Engine`. An engine that cannot load the weights is started again."""
        await self._start()
        check_update(self.capabilities, update)
        self._latest = update
        await self._each("a load", lambda engine: engine.load(update))

    async def resume(self) -> None:
        """See `Engine`."""
        await self._each("a resume", lambda engine: engine.resume())
        if self._in_publish:
            self._in_publish = False
            self._publishing.release()
        await self._tell()

    async def sleep(self) -> None:
        """See `Engine`."""
        await self._each("a sleep", lambda engine: engine.sleep())

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
            total = added(total, await self._heartbeat(member) or member.before)
        total.version, total.repeated = self.version, self._repeated
        total.lost = sum(member.lost for member in self._members.values())
        return total

    async def close(self) -> None:
        """End all engines."""
        tasks = [*self._tasks, *([self._starting] if self._starting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(member.close() for member in self._members.values()))

    async def _start(self) -> None:
        """Start all members, once. Raises EngineError if one cannot be started."""
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start_all())
        await asyncio.shield(self._starting)

    async def _start_all(self) -> None:
        await asyncio.gather(*(self._bring_up(member) for member in self._members.values()))
        for member in self._members.values():
            if member.given_up:
                raise EngineError(f"{member.name} cannot be started: {member.given_up}")
        self._spawn(self._watch())

    async def _watch(self) -> None:
        """Look at every member again and again."""
        while True:
            await asyncio.sleep(self._limits.heartbeat)
            await asyncio.gather(*(self._heartbeat(member) for member in self._members.values()))

    async def _heartbeat(self, member: Member) -> EngineStats | None:
        """The member's counters; None if it is not up. A member that does not answer is lost."""
        if not member.up.is_set():
            return None
        engine = member.engine
        try:
            return await member.stats()
        except Exception as error:  # whatever a server answers: nobody else would notice
            self._lose(member, engine, str(error) or type(error).__name__)
            return None

    async def _answers(self, member: Member) -> bool:
        """Whether the member is alive, though a request was not answered."""
        try:
            async with asyncio.timeout(ALIVE_SECONDS):
                return await self._heartbeat(member) is not None
        except TimeoutError:
            return False

    def _lose(self, member: Member, engine: Managed, why: str) -> None:
        """Take an engine out, and start another in its place; nothing where that has been done already."""
        if not member.holds(engine):
            return
        member.failed(why)
        member.lost += 1
        self._say(f"{member.name} is lost: {why}; its requests begin again")
        self._spawn(self._return(member))

    async def _return(self, member: Member) -> None:
        try:
            await self._bring_up(member)
        finally:
            await self._tell()
        self._say(f"{member.name} is given up: {member.given_up}" if member.given_up else f"{member.name} is back")

    async def _bring_up(self, member: Member) -> None:
        """Start an engine until one serves the current weights, or the member is given up."""
        while not member.given_up:
            try:
                await member.launch()
                async with self._publishing:  # not while the others get new weights
                    await member.admit(self._latest)
                return
            except Exception as error:  # of any kind: nobody waits for this task
                member.failed(str(error) or type(error).__name__)

    async def _tell(self) -> None:
        """Wake whoever waits for an engine, or for the end of a publish."""
        async with self._proven:
            self._proven.notify_all()

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

    async def _wait_for_probe(self, member: Member, engine: Managed) -> None:
        """Wait while weights are published. Raises EngineLostError if the engine did not pass the probe."""
        while self._in_publish and member.holds(engine):
            async with self._proven:
                await self._proven.wait()
        if not member.holds(engine):
            raise EngineLostError(f"{member.name} was taken out before its answer could be trusted")

    async def _each(self, what: str, call: Callable[[Managed], Awaitable[None]]) -> None:
        """Call every engine that is up. One that is lost or fails is taken out."""

        async def one(member: Member) -> None:
            engine = member.engine
            try:
                await member.control(call(engine), what)
            except EngineError as error:
                self._lose(member, engine, f"{what} failed: {error}")

        await asyncio.gather(*(one(member) for member in self._members.values() if member.up.is_set()))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
