"""Engines elsewhere as one: routing, faults, restarts, and the probe after each publish."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from engine_models import decoder, engine
from hypothesis import given
from hypothesis import strategies as st
from test_contract import scores

from espalier.core.errors import ConfigError, EngineError, EngineLostError
from espalier.engine.api import Capabilities, Completion, EngineStats, Sampling
from espalier.engine.build import build_engine, check_capabilities
from espalier.engine.channels.api import Direct
from espalier.engine.channels.shm import SharedMemory
from espalier.engine.config import EngineConfig
from espalier.engine.local import LocalEngine
from espalier.engine.pool.member import Launch, Limits, Member
from espalier.engine.pool.pool import Pool
from espalier.engine.pool.routing import key_of, route
from espalier.engine.process.cores import divide
from espalier.engine.process.engine import ProcessEngine
from espalier.engine.updates import Probe, TensorUpdate, WeightUpdate
from espalier.lm.decoder import Decoder

PROMPT = [5, 6, 7, 8]


class Fragile(LocalEngine):
    """An engine in this process that can be lost, that can hang, and that can lie about its weights."""

    def __init__(self, model: Decoder) -> None:
        super().__init__(model, max_rows=8, max_len=128, weights="copy")
        self.dead = self.silent = self.deaf = False
        self.loaded = 0

    def kill(self) -> None:
        self.dead = True

    async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
        self._alive()
        if self.silent:
            await asyncio.sleep(3600)
        done = await super().generate(prompt, sampling, session=session)
        self._alive()
        return done

    async def load(self, update: WeightUpdate) -> None:
        self._alive()
        if self.deaf:  # says that it has the weights, and keeps its own
            self._stepper.set_version(update.version)
            return
        self.loaded += 1
        await super().load(update)

    async def stats(self) -> EngineStats:
        self._alive()
        return await super().stats()

    def _alive(self) -> None:
        if self.dead:
            raise EngineLostError("it was killed")


class Fleet:
    """A pool of fragile engines, and all that were ever started."""

    def __init__(self, count: int = 2, *, change: Callable[[Fragile], None] = lambda one: None, **limits: Any) -> None:
        self.started: list[list[Fragile]] = [[] for _ in range(count)]
        self.change = change
        bounds = Limits(**{"request": 30.0, "control": 5.0, "heartbeat": 0.05, "restarts": 2, **limits})
        members = [Member(f"engine {i}", self._launch(i), bounds) for i in range(count)]
        self.told: list[str] = []
        self.pool = Pool(
            members,
            capabilities=Capabilities(frozenset(("tensors",))),
            max_len=128,
            max_rows=8 * count,
            limits=bounds,
            say=self.told.append,
        )

    def _launch(self, number: int) -> Launch:
        async def launch() -> Fragile:
            one = Fragile(decoder())
            self.started[number].append(one)
            self.change(one)
            return one

        return launch

    def now(self, number: int) -> Fragile:
        return self.started[number][-1]


def update(model: Decoder, version: int) -> TensorUpdate:
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return TensorUpdate(version, tensors, Probe([PROMPT], [scores(model, PROMPT)]))


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(main(), 60))  # type: ignore[arg-type]


def alone(model: Decoder, sampling: Sampling) -> list[int]:
    return asyncio.run(engine(model).generate(PROMPT, sampling)).tokens


def test_a_request_moves_to_another_engine_and_is_counted() -> None:
    sampling = Sampling(max_tokens=20, seed=3)

    async def main() -> tuple[Completion, EngineStats, Fleet]:
        fleet = Fleet()
        await fleet.pool.publish(update(decoder(seed=1), 1))
        task = asyncio.create_task(fleet.pool.generate(PROMPT, sampling))
        while not (running := [i for i in range(2) if fleet.now(i)._waiting]):
            await asyncio.sleep(0)
        (busy,) = running
        fleet.now(busy).kill()
        done = await task
        while len(fleet.started[busy]) < 2:
            await asyncio.sleep(0.01)
        found = await fleet.pool.stats()
        await fleet.pool.close()
        return done, found, fleet

    done, stats, fleet = run(main)
    assert done.tokens == alone(decoder(seed=1), sampling)
    assert (stats.lost, stats.repeated) == (1, 1)
    assert "is lost: it was killed; its requests begin again" in fleet.told[0]


def test_an_engine_that_returns_has_the_weights_before_it_gets_a_request() -> None:
    wanted = alone(decoder(seed=1), Sampling(max_tokens=6, seed=1))

    async def main() -> Fleet:
        fleet = Fleet(count=1)
        await fleet.pool.publish(update(decoder(seed=1), 7))
        fleet.now(0).kill()
        done = await fleet.pool.generate(PROMPT, Sampling(max_tokens=6, seed=1))
        assert done.tokens == wanted
        assert set(done.versions) == {7}
        await fleet.pool.close()
        return fleet

    fleet = run(main)
    assert len(fleet.started[0]) == 2
    assert fleet.now(0).loaded == 1


def test_the_heartbeat_finds_a_dead_engine_without_a_request() -> None:
    async def main() -> EngineStats:
        fleet = Fleet(count=1)
        await fleet.pool.publish(update(decoder(seed=1), 1))
        before = (await fleet.pool.generate(PROMPT, Sampling(max_tokens=5))).tokens
        await asyncio.sleep(0.1)
        fleet.now(0).kill()
        while len(fleet.started[0]) < 2:
            await asyncio.sleep(0.01)
        found = await fleet.pool.stats()
        await fleet.pool.close()
        assert found.sampled_tokens == len(before), "what the lost one had counted is not forgotten"
        return found

    assert run(main).lost == 1


def test_the_probe_rejects_an_engine_that_keeps_its_weights() -> None:
    """Its label says that it has the new ones."""

    async def main() -> Fleet:
        fleet = Fleet(count=2)
        await fleet.pool.publish(update(decoder(seed=1), 1))
        fleet.now(0).deaf = True
        await fleet.pool.publish(update(decoder(seed=2), 2))
        assert fleet.started[0][0].version == 2, "it said so"
        for seed in range(6):
            done = await fleet.pool.generate([5, 6, seed], Sampling(max_tokens=4, temperature=0.0))
            expected = await engine(decoder(seed=2)).generate([5, 6, seed], Sampling(max_tokens=4, temperature=0.0))
            assert done.raw_logprobs == pytest.approx(expected.raw_logprobs, abs=1e-4)
        await fleet.pool.close()
        return fleet

    fleet = run(main)
    assert len(fleet.started[0]) == 2, "it was replaced"
    assert "does not serve the weights of version 2" in fleet.told[0]


def test_without_a_probe_the_same_engine_would_serve_a_mixture() -> None:
    """The control of the test above."""

    async def main() -> float:
        fleet = Fleet(count=1)
        await fleet.pool.publish(update(decoder(seed=1), 1))
        fleet.now(0).deaf = True
        await fleet.pool.publish(replace(update(decoder(seed=2), 2), probe=None))
        done = await fleet.pool.generate(PROMPT, Sampling(max_tokens=4, seed=1))
        await fleet.pool.close()
        assert set(done.versions) == {2}, "labelled as new"
        expected = scores(decoder(seed=2), [*PROMPT, *done.tokens])[len(PROMPT) :]
        return max(abs(a - b) for a, b in zip(done.raw_logprobs, expected, strict=True))

    assert run(main) > 0.1


def test_an_engine_that_never_passes_the_probe_is_given_up_with_words() -> None:
    async def main() -> None:
        fleet = Fleet(count=1, change=lambda one: setattr(one, "deaf", True))
        await fleet.pool.publish(update(decoder(seed=1), 1))
        with pytest.raises(
            EngineError, match=r"no engine is left \(engine 0: the engine does not serve the weights of"
        ):
            await fleet.pool.generate(PROMPT, Sampling(max_tokens=2))
        assert len(fleet.started[0]) == 1 + 2, "the first, and as often again as the limits say"
        await fleet.pool.close()

    run(main)


def test_tokens_of_new_weights_are_held_until_the_probe_has_passed() -> None:
    order: list[str] = []

    class Slow(Fragile):
        async def score(self, tokens: Sequence[int]) -> list[float]:
            await asyncio.sleep(0.2)
            order.append("probe")
            return await super().score(tokens)

    async def main() -> None:
        fleet = Fleet(count=1)

        async def launch() -> Slow:
            return Slow(decoder())

        fleet.pool._members["engine 0"]._launch = launch
        await fleet.pool.publish(update(decoder(seed=1), 1))
        order.clear()

        async def ask() -> None:
            await fleet.pool.generate(PROMPT, Sampling(max_tokens=3))
            order.append("answer")

        publishing = asyncio.create_task(fleet.pool.publish(update(decoder(seed=2), 2)))
        await asyncio.sleep(0.01)
        await asyncio.gather(publishing, ask())
        await fleet.pool.close()

    run(main)
    assert order == ["probe", "answer"]


def test_an_engine_that_never_answers_is_named_by_its_deadline() -> None:
    async def main() -> float:
        fleet = Fleet(count=1, change=lambda one: setattr(one, "silent", True), request=0.3, restarts=0)
        await fleet.pool.publish(update(decoder(seed=1), 1))
        begun = time.monotonic()
        with pytest.raises(EngineError, match=r"a request of 4 tokens waited 0\.3 s for engine 0"):
            await fleet.pool.generate(PROMPT, Sampling(max_tokens=2))
        await fleet.pool.close()
        return time.monotonic() - begun

    assert run(main) < 1.3


def test_a_call_that_hangs_is_named_too() -> None:
    async def main() -> None:
        fleet = Fleet(count=1, control=0.2, restarts=0, heartbeat=60.0)
        await fleet.pool.publish(update(decoder(seed=1), 1))

        async def never(update: WeightUpdate) -> None:
            await asyncio.sleep(3600)

        fleet.now(0).load = never  # type: ignore[method-assign]
        await fleet.pool.publish(update(decoder(seed=2), 2))
        await fleet.pool.close()
        assert fleet.told[0].startswith("engine 0 is lost: a publish failed: engine 0 did not answer within 0.2 s")

    run(main)


def test_engines_that_cannot_start_are_named() -> None:
    async def broken() -> Fragile:
        raise EngineLostError("there is no such program")

    async def main() -> None:
        limits = Limits(restarts=1)
        pool = Pool(
            [Member("engine 0", broken, limits)],
            capabilities=Capabilities(frozenset(("tensors",))),
            max_len=128,
            max_rows=8,
            limits=limits,
        )
        with pytest.raises(EngineError, match="engine 0 cannot be started: there is no such program"):
            await pool.pause("keep")

    run(main)


def test_a_restart_that_fails_in_any_way_is_given_up_with_words() -> None:
    async def main() -> None:
        fleet = Fleet(count=1, restarts=1)
        await fleet.pool.publish(update(decoder(seed=1), 1))

        async def full() -> Fragile:
            raise OSError("No space left on device")

        fleet.pool._members["engine 0"]._launch = full
        fleet.now(0).kill()
        with pytest.raises(EngineError, match=r"no engine is left .*No space left on device"):
            await fleet.pool.generate(PROMPT, Sampling(max_tokens=2))
        await fleet.pool.close()

    run(main)


def test_an_engine_that_dies_at_every_request_is_given_up() -> None:
    class Cursed(Fragile):
        async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
            raise EngineLostError("it died")

    async def main() -> int:
        starts = 0

        async def launch() -> Cursed:
            nonlocal starts
            starts += 1
            return Cursed(decoder())

        fleet = Fleet(count=1, restarts=2)
        fleet.pool._members["engine 0"]._launch = launch
        await fleet.pool.publish(update(decoder(seed=1), 1))
        for _ in range(3):
            with pytest.raises(EngineError, match="it died"):
                await fleet.pool.generate(PROMPT, Sampling(max_tokens=2))
        await fleet.pool.close()
        return starts

    assert run(main) == 3


def test_a_healthy_engine_does_not_wait_for_one_that_is_started_again() -> None:
    async def main() -> float:
        fleet = Fleet(count=2)
        await fleet.pool.publish(update(decoder(seed=1), 1))

        async def slow() -> Fragile:
            await asyncio.sleep(2.0)
            return Fragile(decoder())

        fleet.pool._members["engine 0"]._launch = slow
        fleet.now(0).kill()
        while not fleet.told:
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        await asyncio.gather(*(fleet.pool.generate([5, 6, n], Sampling(max_tokens=2)) for n in range(6)))
        await fleet.pool.publish(update(decoder(seed=2), 2))
        taken = time.monotonic() - begun
        await fleet.pool.close()
        return taken

    assert run(main) < 1.0


def test_a_request_that_waits_for_a_living_engine_fails_alone() -> None:
    async def main() -> Fleet:
        fleet = Fleet(count=1, request=0.2)
        await fleet.pool.publish(update(decoder(seed=1), 1))
        fleet.now(0).silent = True
        with pytest.raises(EngineError, match=r"waited 0\.2 s for engine 0: raise engine\.request_seconds"):
            await fleet.pool.generate(PROMPT, Sampling(max_tokens=2))
        fleet.now(0).silent = False
        await fleet.pool.generate(PROMPT, Sampling(max_tokens=2))
        await fleet.pool.close()
        return fleet

    assert len(run(main).started[0]) == 1, "it was not started again"


def test_a_process_that_is_killed_returns_with_its_weights() -> None:
    """kill -9 in the middle of a completion: the same tokens in the end."""
    sampling = Sampling(max_tokens=100, seed=4)
    told: list[str] = []

    async def main() -> tuple[Completion, EngineStats]:
        config = EngineConfig.of(kind="process", max_rows=8, max_len=128, heartbeat_seconds=0.1)
        made, channel = build_engine(decoder(), config, say=told.append)
        assert isinstance(made, Pool)
        new = channel.send(update(decoder(seed=1), 3))
        await made.publish(new)
        task = asyncio.create_task(made.generate(PROMPT, sampling))
        while (await made.stats()).sampled_tokens < 5:
            await asyncio.sleep(0)
        child = made._members["engine 0"].engine
        assert isinstance(child, ProcessEngine)
        os.kill(child.pid, signal.SIGKILL)
        done = await task
        stats = await made.stats()
        await made.close()
        channel.close()
        return done, stats

    done, stats = run(main)
    assert done.tokens == alone(decoder(seed=1), sampling)
    assert set(done.versions) == {3}
    assert (stats.lost, stats.repeated) == (1, 1)
    assert "ended with exit status -9" in told[0]
    assert told[-1] == "engine 0 is back"


def test_no_process_is_left_when_the_pool_is_closed() -> None:
    async def main() -> list[int]:
        made, channel = build_engine(decoder(), EngineConfig.of(kind="process", max_rows=8, max_len=128, count=2))
        assert isinstance(made, Pool)
        await made.pause("keep")
        pids = [member.engine.pid for member in made._members.values()]  # type: ignore[attr-defined]
        await made.close()
        channel.close()
        return pids

    for pid in run(main):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@given(st.integers(1, 8), st.lists(st.text(max_size=12), min_size=50, max_size=50, unique=True))
def test_a_new_engine_takes_keys_and_moves_no_others(count: int, keys: list[str]) -> None:
    names = [f"engine {i}" for i in range(count + 1)]
    for key in keys:
        before, after = route(key, names[:-1]), route(key, names)
        assert after in (before, names[-1])


def test_keys_spread_evenly_and_a_new_engine_takes_its_share() -> None:
    names = [f"engine {i}" for i in range(4)]
    keys = [f"{i}.0" for i in range(4000)]
    counts = Counter(route(key, names) for key in keys)
    assert all(abs(count - 1000) < 150 for count in counts.values())
    moved = sum(route(key, names) != route(key, [*names, "engine 4"]) for key in keys)
    assert abs(moved - 800) < 150


def test_a_conversation_and_a_group_stay_on_one_engine() -> None:
    assert key_of("7.3", [1, 2]) == key_of("7.3", [1, 2, 3, 4])
    assert key_of("", [1, 2]) == key_of("", [1, 2])
    assert key_of("", [1, 2]) != key_of("", [12])


@pytest.mark.parametrize(
    ("engines", "overlap", "threads", "each", "own", "learner"),
    [
        (1, True, None, 1, [[1]], 1),
        (1, False, None, 2, [[]], 2),
        (2, True, 2, 2, [[], []], 2),
    ],
)
def test_two_cores_are_never_used_by_both_sides(
    engines: int, overlap: bool, threads: int | None, each: int, own: list[list[int]], learner: int
) -> None:
    found = divide([0, 1], engines, overlap=overlap, threads=threads)
    assert (found.threads, found.engines, found.learner) == (each, own, learner)


@given(st.integers(1, 64), st.integers(1, 8))
def test_cores_are_divided_without_overlap_between_engines(cores: int, engines: int) -> None:
    found = divide(list(range(cores)), engines, overlap=True)
    used = [core for own in found.engines for core in own]
    assert len(set(used)) == len(used)
    if used:
        assert found.learner == cores - len(used)
        assert all(len(own) == found.threads for own in found.engines)


def test_what_an_engine_cannot_do_is_refused_before_the_run() -> None:
    local = engine(decoder())
    check_capabilities(local, Direct(), pause="keep", probe=True)
    with pytest.raises(ConfigError, match="cannot be given weights as shared; it accepts tensors"):
        check_capabilities(local, SharedMemory(), pause="keep", probe=True)
    with pytest.raises(ConfigError, match="cannot be paused with 'drain'; it has abort, finish, keep"):
        check_capabilities(local, Direct(), pause="drain", probe=True)
