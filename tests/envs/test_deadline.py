"""Deadlines of single calls."""

import asyncio
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from espalier.envs.workers.deadline import DeadlineError, deadline_seconds, within


class Body:
    """A call that waits `seconds` at a time, so many times, and notes how it ended."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    async def __call__(self, *waits: float, cleanup: float = 0.0) -> str:
        try:
            for seconds in waits:
                await asyncio.sleep(seconds)
            return "done"
        except asyncio.CancelledError:
            self.notes.append("cancelled")
            await asyncio.sleep(cleanup)
            self.notes.append("cleaned")
            raise


async def value() -> float | None:
    return deadline_seconds()


async def error() -> None:
    raise KeyError("boom")


async def own_timeout() -> None:
    await asyncio.sleep(0)
    raise TimeoutError("the server's")


async def blocks_then_waits() -> str:
    time.sleep(0.1)
    await asyncio.sleep(0.05)
    return "done"


def test_a_call_that_never_waits_starts_no_timer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asyncio, "timeout_at", lambda end: pytest.fail("a timer was started"))
    assert asyncio.run(within(0.5, value())) == 0.5
    with pytest.raises(KeyError, match="boom"):
        asyncio.run(within(0.5, error()))


def test_a_call_in_time_returns_its_value_and_leaves_no_deadline():
    body = Body()

    async def go() -> tuple[str, float | None]:
        return await within(5.0, body(0.0, 0.01, 0.01)), deadline_seconds()

    assert asyncio.run(go()) == ("done", None)
    assert body.notes == []


def test_a_late_call_is_cancelled_and_may_wait_while_it_cleans_up():
    body = Body()
    with pytest.raises(DeadlineError, match=r"took longer than 0\.05 s"):
        asyncio.run(within(0.05, body(0.01, 30.0, cleanup=0.05)))
    assert body.notes == ["cancelled", "cleaned"]


def test_the_time_before_the_first_wait_counts():
    with pytest.raises(DeadlineError):
        asyncio.run(within(0.05, blocks_then_waits()))


def test_a_timeout_of_the_call_itself_is_passed_on():
    with pytest.raises(TimeoutError, match="the server's") as found:
        asyncio.run(within(5.0, own_timeout()))
    assert not isinstance(found.value, DeadlineError)


def test_whatever_can_be_awaited_is():
    @types.coroutine
    def old_style() -> Generator[Any, Any, str]:
        yield from asyncio.sleep(0).__await__()
        return "done"

    async def go() -> str:
        return await within(5.0, old_style())  # type: ignore[arg-type]

    assert asyncio.run(go()) == "done"


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_cancellation_from_outside_reaches_the_call(turns: int):
    body = Body()

    async def go() -> None:
        task = asyncio.create_task(within(5.0, body(*[0.0] * turns, 30.0)))
        for _ in range(turns + 2):
            await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(go())
    assert body.notes == ["cancelled", "cleaned"]


@pytest.mark.parametrize("wrapped", [lambda made: made, asyncio.ensure_future])
def test_coroutines_and_futures_are_awaited_alike(wrapped: Callable[[Coroutine[Any, Any, str]], Any]):
    body = Body()

    async def go() -> str:
        return await within(5.0, wrapped(body(0.01)))

    assert asyncio.run(go()) == "done"
