"""The training loop: collect, train, publish; evaluate and save on their own schedule.

With `max_lag = 0` training is synchronous: admission starts exactly the groups of the next step, so every token is
sampled by the weights being trained.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from espalier.core.run.run import Run
from espalier.core.seed import rng
from espalier.core.tracking.progress import Progress
from espalier.engine.api import Engine
from espalier.rl.config import TrainConfig
from espalier.rl.learner.api import Learner, Metrics
from espalier.rl.loop.admission import Admission
from espalier.rl.loop.checkpoints import Checkpoints, State
from espalier.rl.loop.collect import Collected, Collector
from espalier.rl.loop.cost import Cost
from espalier.rl.loop.evaluate import Evaluation, Evaluations
from espalier.rl.loop.figures import engine_figures, failing_tools, memory_figures, rollout_figures
from espalier.rl.loop.idle import IdleWatch
from espalier.rl.loop.rollout_log import RolloutLog
from espalier.rl.loop.source import TaskSource
from espalier.rl.rollout.api import Player, ScoredGroup


@dataclass(slots=True)
class Parts:
    """The components that the loop connects; it uses only their protocols."""

    engine: Engine
    learner: Learner
    player: Player
    source: TaskSource
    evaluator: Evaluations
    checkpoints: Checkpoints
    rollouts: RolloutLog | None = None
    save_every: int = 1
    """Training steps between two checkpoints."""


class Loop:
    """Runs from step `done` to `config.steps`, or until the run is asked to stop.

    `offset` is the number of warm-start steps. Metrics, messages, rollouts, checkpoints and the progress display all
    use `offset + step`. `figures` are the results; they are saved in the checkpoints.
    """

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        parts: Parts,
        *,
        offset: int,
        state: State,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._run = run
        self._config = config
        self._parts = parts
        self._offset = offset
        self._clock = clock
        self._saving = 0.0
        self.step = state.step
        self.figures = dict(state.figures)
        self._cost = Cost(self.figures)
        groups = config.rollout.groups_per_step
        self._idle = IdleWatch(
            config.stop_after_idle,
            config.algorithm.needs_group,
            config.evaluation.correct_above,
            by_reward=not (config.algorithm.plugin or config.algorithm.turn_rewards),
            **state.idle,
        )
        self._told_of_errors = False
        self._failing = set[str]()
        self._admission = Admission(**state.admission) if state.admission else Admission(groups, config.rollout.max_lag)
        self._collector = Collector(
            parts.player,
            parts.source,
            self._admission,
            resample=config.algorithm.filter_zero_variance,
            max_rejected=config.rollout.max_resampled * groups,
        )

    async def run(self, progress: Progress) -> bool:
        """Returns whether all steps were done, or the task was solved earlier."""
        try:
            while not self._last and not self._run.stop.requested:
                await self._one(progress)
        finally:
            await self._collector.close()
        return self._last

    @property
    def number(self) -> int:
        """The step's number in the run, including the steps of the warm start."""
        return self._offset + self.step

    @property
    def _last(self) -> bool:
        """Whether there is no further step."""
        return self.step >= self._config.steps or self._idle.ended

    async def begin(self, progress: Progress) -> None:
        """Publish the weights to the engine; before the first step, evaluate them."""
        await self.publish()
        if self.step == 0:
            (await self.evaluate(progress)).put(self.figures)
            await self.save()

    async def publish(self) -> None:
        """Publish the learner's weights to the engine."""
        engine = self._parts.engine
        await engine.pause("keep")
        await engine.load(await self._parts.learner.publish())
        await engine.resume()

    async def evaluate(self, progress: Progress) -> Evaluation:
        """Evaluate the current weights on held-out tasks and log the metrics.

        The weights are published again afterwards, so that training finds no KV entries of the evaluation. A step after
        an evaluation is then the same as a step after a resume.
        """
        started = self._clock()
        evaluation = await self._parts.evaluator()
        await self.publish()
        metrics = evaluation.metrics | self._cost.metrics | {"time/evaluate": self._clock() - started}
        self._run.metrics.log(self.number, metrics)
        progress.note(f"step {self.number}: {evaluation.summary}")
        if evaluation.failed:
            self._run.warn(f"{evaluation.failed} held-out attempts failed and count as wrong", self.number)
        return evaluation

    async def _one(self, progress: Progress) -> None:
        parts, config = self._parts, self._config
        begun = self._clock()
        self._cost.begin()
        before = await parts.engine.stats()
        collected = await self._collector.collect()
        generated = self._clock()
        after = await parts.engine.stats()
        groups = collected.groups
        metrics = rollout_figures(groups, collected.counts, self._admission.version) | engine_figures(before, after)
        if config.shuffle_rewards:
            shuffle_rewards(groups, rng(self._run.seed, "shuffle", self.step))
        if parts.rollouts:
            parts.rollouts.write(self.number + 1, groups)
        await parts.engine.sleep()  # what it frees, the learner can use
        trained = await parts.learner.update([group.unit for group in groups])
        self._cost.add(trained, metrics)
        self._admission.advance()
        published = self._clock()
        await self.publish()
        self.step += 1
        now = self._clock()
        metrics |= dict(trained) | {
            "time/generate": generated - begun,
            "time/train": published - generated,
            "time/publish": now - published,
            "time/step": now - begun,
            "time/save": self._saving,
            **memory_figures(),
        }
        metrics |= self._cost.metrics
        self._run.metrics.log(self.number, metrics)  # before the checkpoint: a resume finds it written
        self._tell(progress, collected, metrics)
        await self._periodic(progress)
        progress.update(self.number, shown(metrics, self.figures))

    def _tell(self, progress: Progress, collected: Collected, metrics: Metrics) -> None:
        """Say what is wrong with a step, also in the report: attempts that failed, and nothing to learn from."""
        found = []
        if collected.errors and not self._told_of_errors:
            self._told_of_errors = True
            found.append(f"{len(collected.errors)} attempts failed; the first: {collected.errors[0]}")
        if reason := self._idle.look(self.number, collected.groups, metrics):
            found.append(reason)
        for name in sorted(set(failing_tools(metrics)) - self._failing):
            self._failing.add(name)
            found.append(f"{name}: more than half of the tool calls fail")
        for text in found:
            progress.note(f"step {self.number}: {text}")
            self._run.warn(text, self.number)
        if self._idle.ended:
            progress.note(
                f"step {self.number}: every attempt of {self._idle.solved} steps was right; training ends here"
            )

    async def _periodic(self, progress: Progress) -> None:
        last = self._last
        if last or self.step % self._config.evaluation.every == 0:
            (await self.evaluate(progress)).put(self.figures)
        if last or self.step % self._parts.save_every == 0 or self._run.stop.requested:
            await self.save()

    async def save(self) -> None:
        """Write a checkpoint of this step. The next step reports the seconds it took."""
        begun = self._clock()
        admission, idle = self._admission.save(), self._idle.save()
        state = State("rl", self.step, self._parts.source.cursor, admission, idle, self.figures)
        await self._parts.checkpoints.save(self.number, state, self._parts.learner)
        self._saving = self._clock() - begun


def shuffle_rewards(groups: list[ScoredGroup], random: Random) -> None:
    """Shuffle the rewards of the step among its rows: the negative control."""
    rows = [row for group in groups for row in group.rows]
    rewards = [row.reward for row in rows]
    random.shuffle(rewards)
    for row, reward in zip(rows, rewards, strict=True):
        row.reward = reward


def shown(metrics: dict[str, float], figures: dict[str, float]) -> dict[str, float]:
    """What the console shows of a step."""
    entropy = {"entropy": metrics["entropy"]} if "entropy" in metrics else {}
    return {
        "reward": metrics["reward/total"],
        "held-out accuracy": figures["accuracy_after"],
        "length": metrics["len/mean"],
        **entropy,
        "tokens/s": metrics["engine/tokens"] / metrics["time/generate"],
    }
