"""Engines as they look from outside."""

from __future__ import annotations

import asyncio

import pytest
from engine_models import decoder, engine
from test_pool import PROMPT, Fleet, run, update

from espalier.engine.api import Sampling
from espalier.engine.watch import EngineWatch, Speed


def test_speed_is_of_two_readings_that_differ_and_none_after_a_while() -> None:
    """Heartbeats bring counters every few seconds: between two of them the speed stays."""
    speed = Speed(at=10.0)
    readings = [(100, 12.0), (100, 13.0), (400, 14.0), (400, 24.0), (400, 24.1), (430, 27.1)]
    assert [speed.read(*reading) for reading in readings] == [50.0, 50.0, 150.0, 150.0, 0.0, 10.0]


def test_the_embedded_engine_tells_its_queue() -> None:
    async def main() -> None:
        local = engine(decoder())
        watch = EngineWatch(local)
        request = asyncio.create_task(local.generate(PROMPT, Sampling(max_tokens=8)))
        while not local.counters.sampled_tokens:
            await asyncio.sleep(0)
        (seen,) = watch.look()
        assert (seen.name, seen.up, seen.running, seen.waiting) == ("embedded", True, 1, 0)
        assert seen.speed > 0
        await request
        assert watch.look()[0].running == 0

    asyncio.run(main())


def test_of_several_engines_one_that_is_lost_is_seen() -> None:
    async def main() -> None:
        fleet = Fleet(2, restarts=0, heartbeat=3600.0)
        watch = EngineWatch(fleet.pool)
        assert [one.up for one in watch.look()] == [False, False], "none is started yet"
        await fleet.pool.publish(update(decoder(), 1))
        assert [(one.name, one.up) for one in watch.look()] == [("engine 0", True), ("engine 1", True)]
        await fleet.pool.generate(PROMPT, Sampling(max_tokens=8))
        await fleet.pool.stats()
        before = sum(member.seen.sampled_tokens for member in fleet.pool.members)
        assert before == pytest.approx(8, abs=7)
        fleet.now(1).dead = True
        await fleet.pool.stats()
        assert [one.up for one in watch.look()] == [True, False]
        assert sum(member.seen.sampled_tokens for member in fleet.pool.members) == before, "its tokens stay counted"
        await fleet.pool.close()

    run(main)
