"""Demonstrations of a task set as rows for the learner: for supervised fine-tuning and the warm start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from espalier.core.errors import ConfigError, DataError, EnvError, EspalierError, NoDemonstrationsError
from espalier.core.messages import Message
from espalier.core.seed import rng
from espalier.envs.api import Env, Task, TaskSet
from espalier.lm.chat import Renderer
from espalier.rl.rollout.forcing import Forcing
from espalier.rl.rollout.notices import Notices, failed
from espalier.rl.trajectory import POLICY, Status, Trajectory
from espalier.rl.unit import Unit


class Demonstrations:
    """Demonstration `i` is of training task `i`: a pure function of the seed. Failed ones are reported to `notices`."""

    def __init__(
        self, tasks: TaskSet, renderer: Renderer, notices: Notices, *, seed: int, cut: Forcing | None = None
    ) -> None:
        """`cut`: see `SFTConfig.cut`."""
        self._cut = cut
        self._tasks = tasks
        self._renderer = renderer
        self._notices = notices
        self._seed = seed

    def row(self, index: int) -> Trajectory:
        """One demonstration. Cross entropy is computed on the assistant's tokens.

        Raises EnvError if the set cannot demonstrate the task, DataError if the tokenizer cannot encode it.
        """
        return self._row(index, self._tasks.task("train", index))

    def batch(self, start: int, count: int) -> list[Unit]:
        """Demonstrations `start:start + count`, each its own unit. A demonstration that fails is left out.

        Raises ConfigError if none of the tasks has any.
        """
        units, lacking = [], list[EnvError]()
        for index in range(start, start + count):
            task = self._tasks.task("train", index)
            try:
                units.append(Unit([self._row(index, task)]))
            except NoDemonstrationsError as error:
                lacking.append(error)
            except (DataError, EnvError) as error:
                self._notices.once(failed(task, error))
        if len(lacking) == count:
            raise ConfigError(
                f"{lacking[0]}. A warm start needs demonstrations: leave it out (warm_start.steps=0), or add them"
            )
        return units

    def _row(self, index: int, task: Task) -> Trajectory:
        messages = self._tasks.demonstrate(task, rng(self._seed, "demonstration", index))
        row = Trajectory(task.env, task.key, group=index, status=Status.DONE)
        weights: list[float] = []
        spans = self._renderer.demonstration(messages, self._tasks.tools(task))
        for ids, spoken in spans if self._cut is None else self._shortened(index, spans, self._cut):
            row.observe(ids, POLICY if spoken else "prompt")
            weights += [float(spoken)] * len(ids)
        row.weights = {"ce": weights}
        return row

    def _shortened(
        self, index: int, spans: Sequence[tuple[list[int], bool]], cut: Forcing
    ) -> Iterator[tuple[Sequence[int], bool]]:
        """The spans with the last thought cut at a random place: only what follows its marker is trained."""
        for ids, _ in spans[:-1]:
            yield ids, False
        said, _ = spans[-1]
        end = cut.thought(said)
        yield said[: rng(self._seed, "cut", index).randint(0, end)], False
        yield cut.ids, False
        yield said[end + 1 :], True


def sample_texts(tasks: TaskSet, count: int, *, seed: int) -> Iterator[str]:
    """Texts of the first `count` training tasks, to build a tokenizer from: demonstrations, or prompts and answers.

    Tasks that cannot be opened have no text. Half surrogate pairs are left out, because no tokenizer can encode them.
    """
    for index in range(count):
        task = tasks.task("train", index)
        try:
            messages = list(tasks.demonstrate(task, rng(seed, "text", index)))
        except EnvError:
            messages = [*_opening(tasks, task), Message.assistant(task.answer)]
        yield from (message.content.encode(errors="ignore").decode() for message in messages)


def _opening(tasks: TaskSet, task: Task) -> list[Message]:
    """What the environment says first, asked on a thread of its own: the caller may be inside an event loop."""
    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(asyncio.run, _reset(tasks.env(task), task)).result()
        except EspalierError:
            return []


async def _reset(env: Env, task: Task) -> list[Message]:
    try:
        return await env.reset(task)
    finally:
        await env.close()
