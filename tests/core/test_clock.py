import asyncio
import time

import pytest

from espalier.core.clock import Clock, RealClock, VirtualClock


async def work(clock: Clock, log: list[tuple[str, float]], name: str, seconds: float) -> str:
    for _ in range(2):
        await clock.sleep(seconds)
        log.append((name, clock.now()))
    return name


def test_virtual_hours_pass_in_order_and_at_once() -> None:
    clock = VirtualClock()
    log: list[tuple[str, float]] = []

    async def main() -> list[str]:
        return await asyncio.gather(work(clock, log, "slow", 3600.0), work(clock, log, "fast", 1000.0))

    started = time.monotonic()
    assert clock.run(main()) == ["slow", "fast"]
    assert time.monotonic() - started < 5
    assert [name for name, _ in log] == ["fast", "fast", "slow", "slow"]
    assert [moment for _, moment in log] == pytest.approx([1000, 2000, 3600, 7200])


def test_timeouts_of_asyncio_follow_virtual_time() -> None:
    clock = VirtualClock(start=50.0)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), timeout=600)

    clock.run(main())
    assert clock.now() == pytest.approx(650)


def test_a_deadlock_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="every coroutine waits"):
        VirtualClock().run(main())


def test_advance_by_hand() -> None:
    clock = VirtualClock()
    clock.advance(2.5)
    assert clock.now() == 2.5


def test_the_real_clock_waits() -> None:
    clock = RealClock()
    before = clock.now()
    asyncio.run(clock.sleep(0.02))
    assert clock.now() - before >= 0.02
