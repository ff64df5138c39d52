import asyncio

import pytest

from espalier.core.clock import VirtualClock
from espalier.rl.rollout.in_flight import InFlight


def test_at_most_so_many_run_and_the_first_to_come_are_first():
    clock = VirtualClock()
    order: list[int] = []
    most = 0

    async def attempt(places: InFlight, number: int, running: set[int]) -> None:
        nonlocal most
        async with places.place():
            running.add(number)
            most = max(most, len(running))
            order.append(number)
            await asyncio.sleep(1.0 + 0.1 * number)
            running.discard(number)

    async def main() -> None:
        places, running = InFlight(2, clock=clock.now), set[int]()
        await asyncio.gather(*(attempt(places, number, running) for number in range(5)))

    clock.run(main())
    assert (order, most) == ([0, 1, 2, 3, 4], 2)


def test_without_a_limit_nothing_waits():
    async def main() -> None:
        places = InFlight()
        async with places.place(), places.place(), places.place():
            assert not places.crowded

    asyncio.run(main())


def test_it_says_when_a_place_is_free_and_nobody_waits_for_it():
    clock = VirtualClock()

    async def main() -> list[float]:
        places, told = InFlight(1, clock=clock.now), list[float]()
        places.freed = lambda: told.append(clock.now())

        async def attempt() -> None:
            async with places.place():
                await asyncio.sleep(1.0)

        await asyncio.gather(attempt(), attempt())
        return told

    assert clock.run(main()) == [2.0]


def test_a_cancelled_wait_leaves_no_trace():
    async def main() -> None:
        places = InFlight(1)
        async with places.place():
            waiting = asyncio.create_task(places.place().__aenter__())
            await asyncio.sleep(0)
            assert places.crowded
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert not places.crowded
        async with places.place():
            pass

    asyncio.run(main())


def test_usage_is_the_mean_over_time_and_the_wait_for_new_weights():
    clock = VirtualClock()

    async def main() -> None:
        places = InFlight(2, clock=clock.now)
        async with places.place():
            await asyncio.sleep(1.0)
            places.full = True
            await asyncio.sleep(2.0)  # one of two places is free, and nothing may start
            async with places.place():
                await asyncio.sleep(1.0)
        used = places.usage()
        assert (used.running, used.blocked) == (pytest.approx((1 + 2 + 2) / 4), pytest.approx(2.0))
        await asyncio.sleep(1.0)
        used = places.usage()
        assert (used.running, used.blocked) == (0.0, pytest.approx(1.0))

    clock.run(main())
