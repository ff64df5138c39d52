import asyncio
import statistics

from espalier.core.clock import VirtualClock
from espalier.core.data import DataRoot
from espalier.core.messages import Message
from espalier.envs.api import TaskSet
from espalier.envs.build import build_tasks
from espalier.envs.catalogue.guess_number import GuessNumberConfig
from espalier.envs.delayed import Delayed
from espalier.envs.procedural import DelayConfig


def tasks(seconds: float = 0.5, sigma: float = 1.0) -> TaskSet:
    config = GuessNumberConfig(delay=DelayConfig(seconds=seconds, sigma=sigma))
    return build_tasks([config], seed=3, data=DataRoot(None))


def delays(made: TaskSet, episodes: int) -> list[float]:
    """Virtual seconds of the first turn of so many episodes of one task."""
    clock = VirtualClock()

    async def main() -> list[float]:
        task, found = made.task("train", 0), []
        for _ in range(episodes):
            env = made.env(task)
            await env.reset(task)
            begun = clock.now()
            await env.step(Message.assistant("#1"))
            found.append(clock.now() - begun)
            await env.close()
        return found

    return clock.run(main())


def test_answers_take_a_lognormal_time_of_the_given_mean():
    found = delays(tasks(), 3000)
    assert abs(statistics.fmean(found) - 0.5) < 0.05
    assert abs(statistics.median(found) - 0.5 * 2.718281828**-0.5) < 0.03


def test_delays_depend_on_seed_task_and_episode_alone():
    assert delays(tasks(), 5) == delays(tasks(), 5)
    assert len(set(delays(tasks(), 5))) == 5


def test_without_sigma_every_answer_takes_as_long():
    assert all(abs(seconds - 0.25) < 1e-9 for seconds in delays(tasks(0.25, 0.0), 4))


def test_the_tasks_are_those_of_the_set_itself():
    plain = build_tasks([GuessNumberConfig()], seed=3, data=DataRoot(None))
    made = tasks()
    assert isinstance(made, Delayed)
    assert (made.name, made.task("train", 7)) == (plain.name, plain.task("train", 7))
    task = made.task("train", 7)
    assert asyncio.run(made.env(task).reset(task)) == asyncio.run(plain.env(task).reset(task))
