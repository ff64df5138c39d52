import asyncio
import time
from collections.abc import Iterator

import psutil
import pytest
from worker_objects import Odd

from espalier.core.errors import ConfigError
from espalier.envs.workers.deadline import DeadlineError, unhurried, within
from espalier.envs.workers.pool import Pool
from espalier.envs.workers.process import CallError, OverrunError
from espalier.envs.workers.worker import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(Odd)
    yield made
    made.close()


@pytest.mark.parametrize("method", ["spin", "tower", "stubborn"])
def test_a_call_without_end_is_ended_and_the_next_one_works(worker: Worker, method: str):
    assert worker.call("counted", seconds=10) == 1
    pid = worker.pid
    started = time.monotonic()
    with pytest.raises(OverrunError, match=r"took longer than 0\.3 s"):
        worker.call(method, seconds=0.3)
    assert time.monotonic() - started < 5.0
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert worker.call("counted", seconds=10) == 1, "a fresh process holds a fresh object"


def test_what_a_call_raises_comes_back_in_words(worker: Worker):
    with pytest.raises(CallError, match=r"^KeyError: 'boom' \(.*worker_objects\.py:\d+\)$"):
        worker.call("broken", seconds=10)
    with pytest.raises(CallError, match=r"^SystemExit: 3 \(.*worker_objects\.py:\d+\)$"):
        worker.call("exit", seconds=10)
    with pytest.raises(CallError, match=r"^CancelledError: "):
        asyncio.run(worker.ask("cancelled"))
    with pytest.raises(CallError, match="pickle"):
        worker.call("unreadable", seconds=10)
    assert worker.call("counted", seconds=10) == 1, "none of them ended the process"
    with pytest.raises(OverrunError, match="ended by itself"):
        worker.call("leave", seconds=10)
    assert worker.call("counted", seconds=10) == 1
    with pytest.raises(ConfigError, match=r"^no such thing$"):
        Worker(Odd, "no such thing").ready()


def test_calls_that_await_go_on_side_by_side_and_the_loop_never_waits(worker: Worker):
    async def go() -> tuple[list[float], float, float]:
        started, last, gap = time.monotonic(), time.monotonic(), 0.0
        work = asyncio.gather(*(worker.ask("wait", 0.5) for _ in range(20)))
        while not work.done():
            await asyncio.sleep(0.005)
            now = time.monotonic()
            last, gap = now, max(gap, now - last)
        return await work, time.monotonic() - started, gap

    worker.ready()
    values, seconds, gap = asyncio.run(go())
    assert values == [0.5] * 20
    assert seconds < 5.0, "not 20 times 0.5"
    assert gap < 0.4


async def timed(worker: Worker, method: str, *args: object, seconds: float) -> object:
    try:
        return await within(seconds, worker.ask(method, *args))
    except DeadlineError:
        return "late"


def test_a_call_that_awaits_is_cancelled_alone(worker: Worker):
    async def go() -> list[object]:
        calls = [timed(worker, "wait", 30.0, seconds=0.3), timed(worker, "wait", 0.6, seconds=5.0)]
        return await asyncio.gather(*calls)

    worker.ready()
    pid = worker.pid
    assert asyncio.run(go()) == ["late", 0.6]
    assert worker.pid == pid


def test_a_call_that_does_not_await_costs_its_process(worker: Worker):
    async def go() -> tuple[object, object]:
        late = await timed(worker, "spin", seconds=0.3)
        return late, await timed(worker, "counted", seconds=20.0)

    worker.ready()
    pid = worker.pid
    assert asyncio.run(go()) == ("late", 1), "what had not begun goes to the next process"
    assert worker.pid != pid


def test_the_wait_for_a_turn_does_not_count(worker: Worker):
    async def go() -> list[object]:
        return await asyncio.gather(*(timed(worker, "block", 0.2, seconds=1.0) for _ in range(8)))

    worker.ready()
    assert asyncio.run(go()) == [0.2] * 8, "1.6 s in all, each with a deadline of 1 s"


def test_a_deadline_stands_still_only_where_it_is_told_to():
    async def work(inside: float, outside: float) -> str:
        with unhurried():
            await asyncio.sleep(inside)
        await asyncio.sleep(outside)
        return "in time"

    async def go(inside: float, outside: float) -> str:
        try:
            return await within(0.2, work(inside, outside))
        except DeadlineError:
            return "late"

    assert asyncio.run(go(0.4, 0.01)) == "in time"
    assert asyncio.run(go(0.01, 1.0)) == "late"


def test_a_pool_goes_on_past_calls_without_end():
    pool = Pool(Odd, size=2)

    async def go() -> list[object]:
        calls = [pool.ask(*(["block", 0.01] if i % 3 else ["spin"]), seconds=1.0) for i in range(9)]
        return await asyncio.gather(*calls, return_exceptions=True)

    try:
        found = asyncio.run(go())
        assert [isinstance(value, OverrunError) for value in found] == [i % 3 == 0 for i in range(9)]
    finally:
        pool.close()


def test_the_hash_seed_is_the_same_in_every_worker():
    first, second = Worker(Odd), Worker(Odd)
    assert first.call("walk", seconds=10) == second.call("walk", seconds=10)


def test_no_process_stays_behind():
    worker = Worker(Odd)
    worker.ready()
    pid = worker.pid
    assert pid is not None
    del worker
    deadline = time.monotonic() + 5.0
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
