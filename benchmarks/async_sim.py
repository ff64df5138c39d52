"""How much faster asynchronous training is than synchronous training, simulated: the ruler of async_loop.py.

The real admission and collection of `espalier.rl.loop` run on a virtual clock. Engine, environments and learner only
take time: a decode step costs a constant plus a part for each row, an environment answers a turn after a lognormal
delay, and a training step takes a fixed time. While engine and learner both work, each runs at a share of its speed.

The rows compare with a published table of another simulator: batches of 64 episodes of 1 to 6 turns, a decode step of
2.5 ms plus 0.05 ms a row, training steps of 0.6 s, and a lag of at most 2. What that table leaves open is set here: 30
tokens a turn, 32 rows in the engine, and at most 112 episodes in flight. The table names a limit of 64 in flight, which
its own figures exceed: with 64, Little's law bounds the speed-up by the ratio of the longest episode of a batch to the
mean one, which is about 4.25 for these turns and delays. The last row shows that case.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from common import Row, arguments, finish
from espalier.core.clock import VirtualClock
from espalier.core.messages import ToolSpec
from espalier.envs.api import Episode, Split, Task
from espalier.rl.loop.admission import Admission
from espalier.rl.loop.collect import Collector
from espalier.rl.loop.source import TaskSource
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.trajectory import Trajectory

TABLE = {0.0: (1.7, 1.05), 0.1: (2.8, 1.7), 0.5: (6.6, 5.2), 2.0: (7.4, 7.2)}
"""Mean delay of a turn in seconds -> published speed-up at a speed share of 0.8, and of 0.5."""
SHARES = (0.8, 0.5)
SLICE = 0.005
"""Seconds of training after which the learner looks again whether the engine works."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Times in seconds. groups, members: of a training step. turns: of an episode, one of these at random. rows: of the
    engine. share: speed of engine and learner while both work, as a share of that alone. in_flight: episodes at a time;
    0 for no limit.
    """

    groups: int = 64
    members: int = 1
    turns: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    delay: float = 0.5
    sigma: float = 1.0
    tokens: int = 30
    rows: int = 32
    step: float = 2.5e-3
    per_row: float = 5e-5
    train: float = 0.6
    share: float = 0.8
    in_flight: int = 112
    max_lag: int = 2


@dataclass(frozen=True, slots=True)
class Simulated:
    """seconds: of a step, on average. lag: of the tokens, on average. oldest: the largest lag."""

    seconds: float
    lag: float
    oldest: int


def simulate(load: Workload, *, steps: int = 40, seed: int = 0) -> Simulated:
    """Run so many training steps; the first sixth is not measured."""
    clock = VirtualClock()
    return clock.run(Simulation(load, clock, seed).run(steps))


def speedup(load: Workload, *, steps: int = 40, seeds: int = 2) -> float:
    """Seconds of a synchronous step over those of an asynchronous one."""
    alone = replace(load, max_lag=0, share=1.0, in_flight=0)
    return fmean(simulate(alone, steps=steps, seed=seed).seconds for seed in range(seeds)) / fmean(
        simulate(load, steps=steps, seed=seed).seconds for seed in range(seeds)
    )


class Nothing:
    """A task set of empty tasks."""

    name = "nothing"

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`."""
        return Task("nothing", str(index), {}, split)

    def tools(self, task: Task) -> list[ToolSpec]:
        """See `TaskSet`."""
        return []


class Decoder:
    """Continuous batching: every row advances by a token in each step."""

    def __init__(self, load: Workload, training: Callable[[], bool]) -> None:
        self.load, self.training = load, training
        self.busy = False
        self._waiting: list[asyncio.Future[None]] = []
        self._rows: dict[asyncio.Future[None], int] = {}
        self._wake = asyncio.Event()

    async def turn(self) -> None:
        """Sample the tokens of a turn."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wake.set()
        await done

    async def run(self) -> None:
        """Take steps while there are rows, for ever."""
        load = self.load
        while True:
            while self._waiting and len(self._rows) < load.rows:
                self._rows[self._waiting.pop(0)] = load.tokens
            self.busy = bool(self._rows)
            if not self.busy:
                self._wake.clear()
                await self._wake.wait()
                continue
            seconds = load.step + load.per_row * len(self._rows)
            await asyncio.sleep(seconds / (load.share if self.training() else 1.0))
            for row in list(self._rows):
                self._rows[row] -= 1
                if not self._rows[row]:
                    del self._rows[row]
                    row.set_result(None)
            await asyncio.sleep(0)  # whoever goes on at once, joins the next step


class Simulation:
    """Implements `Player`: its episodes take turns with a decoder and an environment that waits."""

    def __init__(self, load: Workload, clock: VirtualClock, seed: int) -> None:
        self.load, self.clock, self.seed = load, clock, seed
        self.admission = Admission(load.groups, load.max_lag)
        self.in_flight = InFlight(load.in_flight, clock=clock.now)
        self.training = False

    async def run(self, steps: int) -> Simulated:
        """So many training steps."""
        self.decoder = Decoder(self.load, lambda: self.training)
        source = TaskSource(Nothing())  # type: ignore[arg-type]
        collector = Collector(self, source, self.admission, resample=False, max_rejected=1, in_flight=self.in_flight)
        decoding = asyncio.create_task(self.decoder.run())
        times, lags = [], []
        for version in range(steps):
            collected = await collector.collect()
            lags += [version - v for group in collected.groups for row in group.rows for v in row.versions if v >= 0]
            await self.train()
            self.admission.advance()
            times.append(self.clock.now())
        await collector.close()
        decoding.cancel()
        await asyncio.gather(decoding, return_exceptions=True)
        skipped = max(3, steps // 6)
        return Simulated((times[-1] - times[skipped]) / (steps - 1 - skipped), fmean(lags), max(lags))

    async def train(self) -> None:
        """One training step."""
        self.training, left = True, self.load.train
        while left > 1e-9:
            speed = self.load.share if self.decoder.busy else 1.0
            seconds = min(SLICE, left / speed)
            await asyncio.sleep(seconds)
            left -= seconds * speed
        self.training = False

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        """See `Player`."""
        rows = await asyncio.gather(*(self.episode(index, member) for member in range(self.load.members)))
        return ScoredGroup(index, task, list(rows), [Episode(task, []) for _ in rows])

    async def episode(self, index: int, member: int) -> Trajectory:
        """One row: turns and delays."""
        load = self.load
        draw = np.random.default_rng([self.seed, index, member])
        row = Trajectory("nothing", str(index), index, member, reward=float(member))
        async with self.in_flight.place():
            for _ in range(draw.choice(load.turns)):
                await self.decoder.turn()
                row.sample([0], [0.0], [self.admission.version])
                if load.delay:
                    await asyncio.sleep(float(draw.lognormal(math.log(load.delay) - load.sigma**2 / 2, load.sigma)))
        return row


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    args = parser.parse_args()
    steps, seeds = (20, 1) if args.quick else (60, 3)
    rows = []
    for delay, published in TABLE.items():
        for share, expected in zip(SHARES, published, strict=True):
            found = speedup(Workload(delay=delay, share=share), steps=steps, seeds=seeds)
            ratio = min(found, expected) / max(found, expected)
            name = f"delay {delay:g} s, speed share {share:g}: faster by"
            rows.append(Row(name, found, expected, "x", ratio, 0.8 if args.quick else 0.9))
    bounded = speedup(Workload(delay=2.0, in_flight=64), steps=steps, seeds=seeds)
    rows.append(
        Row("delay 2 s, 64 in flight: faster by", bounded, None, "x", None, note="Little's law: at most about 4.25")
    )
    return finish("Asynchronous over synchronous training, simulated", rows, args, ("espalier",), spread="")


if __name__ == "__main__":
    sys.exit(main())
