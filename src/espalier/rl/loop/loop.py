"""The training loop: collect, train, publish; evaluate and save on their own schedule.

Synchronous and asynchronous training are the same loop. With `max_lag = 0`, admission starts exactly the groups of the
next step, so every token is sampled by the weights being trained. With a lag, groups of later steps run while the
learner trains, and go on with new weights after a publish.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from espalier.core.run.run import Run
from espalier.core.seed import rng
from espalier.core.tracking.activity import Activity
from espalier.core.tracking.progress import Progress
from espalier.core.tracking.spans import Spans
from espalier.engine.api import Engine, EngineStats
from espalier.engine.watch import EngineWatch
from espalier.rl.config import TrainConfig
from espalier.rl.curriculum.expansion import Expansion
from espalier.rl.learner.api import Learner, Metrics
from espalier.rl.loop.admission import Admission
from espalier.rl.loop.checkpoints import Checkpoints, State
from espalier.rl.loop.collect import Collected, Collector
from espalier.rl.loop.evaluate import Evaluation, Evaluations
from espalier.rl.loop.idle import IdleWatch
from espalier.rl.loop.ledger import Ledger
from espalier.rl.loop.publish import Publisher
from espalier.rl.loop.record.cost import Cost
from espalier.rl.loop.record.figures import (
    engine_figures,
    failing_tools,
    lag_figures,
    memory_figures,
    rollout_figures,
)
from espalier.rl.loop.record.now import Now
from espalier.rl.loop.record.rollout_log import RolloutLog
from espalier.rl.loop.shuffle import shuffle_rewards
from espalier.rl.loop.source import Source
from espalier.rl.loop.stale import mask_old
from espalier.rl.rollout.api import Player, ScoredGroup
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.rollout.under_way import UnderWay


@dataclass(slots=True)
class Parts:
    """The components that the loop connects; it uses only their protocols."""

    engine: Engine
    learner: Learner
    publish: Publisher
    player: Player
    source: Source
    in_flight: InFlight
    under_way: UnderWay
    evaluator: Evaluations
    checkpoints: Checkpoints
    rollouts: RolloutLog | None = None
    save_every: int = 1
    """Training steps between two checkpoints."""
    spans: Spans | None = None
    credit: Callable[[ScoredGroup], None] | None = None
    """Gives the rows of a group their advantages, where the algorithm does not."""
    expansion: Expansion | None = None
    """Chooses the groups of a step among more."""


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
        waiting: Sequence[ScoredGroup] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`waiting`: finished groups of the checkpoint that were not trained yet."""
        self._run = run
        self._config = config
        self._parts = parts
        self._offset = offset
        self._clock = clock
        self._saving = 0.0
        self.step = state.step
        self.figures = dict(state.figures)
        self._cost = Cost(self.figures)
        rollout = config.rollout
        groups = rollout.groups_per_step
        self._idle = IdleWatch(
            config.stop_after_idle,
            config.algorithm.needs_group,
            config.evaluation.correct_above,
            by_reward=not (config.algorithm.plugin or config.algorithm.turn_rewards),
            **state.idle,
        )
        self._told_of_errors = False
        self._failing = set[str]()
        self._counted: EngineStats | None = None
        """The engine's counters at the end of the last step."""
        self._admission = Admission(
            groups,
            rollout.max_lag,
            total=config.steps * groups,
            version=state.step,
            accepted=state.step * groups + len(waiting),
        )
        self._collector = Collector(
            parts.player,
            parts.source,
            self._admission,
            resample=config.algorithm.filter_zero_variance,
            max_rejected=rollout.max_resampled * groups,
            stale=rollout.stale,
            fixed_lag=rollout.fixed_lag,
            in_flight=parts.in_flight,
            ledger=Ledger(state.groups),
            waiting=waiting,
            expansion=parts.expansion,
        )
        self._learner = Activity(parts.spans.lane("loop") if parts.spans else None)
        engines, ledger = EngineWatch(parts.engine), self._collector.ledger
        self.now = Now(self._learner, self._admission, ledger, parts.in_flight, parts.under_way, engines)

    async def run(self, progress: Progress) -> bool:
        """Returns whether all steps were done, or the task was solved earlier."""
        try:
            while not self._last and not self._run.stop.requested:
                await self._one(progress)
        finally:
            await self._collector.close()
            if self._parts.spans:
                self._parts.spans.save()
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
        with self._learner.at("publish"):
            await self._parts.publish()

    async def evaluate(self, progress: Progress) -> Evaluation:
        """Evaluate the current weights on held-out tasks and log the metrics. Meanwhile no group starts and nothing is
        published, so that all answers are of one version.

        The weights are published again afterwards, so that training finds no KV entries of the evaluation. A step after
        an evaluation is then the same as a step after a resume.
        """
        started = self._clock()
        with self._learner.at("evaluate"), self._collector.held():
            evaluation = await self._parts.evaluator()
            await self.publish()
        self._counted = await self._without_evaluation()
        metrics = evaluation.metrics | self._cost.metrics | {"time/evaluate": self._clock() - started}
        self._run.metrics.log(self.number, metrics)
        progress.note(f"step {self.number}: {evaluation.summary}")
        if evaluation.failed:
            self._run.warn(f"{evaluation.failed} held-out attempts failed and count as wrong", self.number)
        return evaluation

    async def _without_evaluation(self) -> EngineStats:
        """Counters from which the next step counts. An engine that was lost in the evaluation counts for that step."""
        before = self._counted or EngineStats()
        return replace(await self._parts.engine.stats(), lost=before.lost, repeated=before.repeated)

    async def _one(self, progress: Progress) -> None:
        parts, config = self._parts, self._config
        begun = self._clock()
        self._cost.begin()
        before = self._counted or await parts.engine.stats()
        with self._learner.at("collect", step=self.number + 1):
            collected = await self._collector.collect()
        generated = self._clock()
        groups, version = collected.groups, self._admission.version
        metrics = rollout_figures(groups, collected.counts, version) | parts.source.advance()
        if parts.expansion:
            metrics |= parts.expansion.figures(groups, collected.counts)
        if config.shuffle_rewards:
            shuffle_rewards(groups, rng(self._run.seed, "shuffle", self.step))
        if parts.credit:
            for group in groups:
                parts.credit(group)
        if parts.rollouts:
            parts.rollouts.write(self.number + 1, groups, version)
        if config.rollout.overlap:
            metrics |= self._age(collected, version)
        else:
            await parts.engine.sleep()  # what it frees, the learner can use
        with self._learner.at("train", step=self.number + 1):
            trained = await parts.learner.update([group.unit for group in groups])
        self._counted = await parts.engine.stats()
        metrics |= engine_figures(before, self._counted)
        self._cost.add(trained, metrics)
        published = self._clock()
        await self.publish()
        self._admission.advance()  # after the publish: a group of the new window samples with the new weights
        self.step += 1
        now = self._clock()
        metrics |= dict(trained) | {
            ("time/wait_data" if config.rollout.overlap else "time/generate"): generated - begun,
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

    def _age(self, collected: Collected, version: int) -> dict[str, float]:
        """Take tokens that are too old out of the loss. Returns the figures of lag, and the wait for new weights."""
        rows = [row for group in collected.groups for row in group.rows]
        masked = mask_old(rows, version, self._admission.max_lag)
        return lag_figures(rows, version, masked, collected.counts) | {
            "lag/in_flight": collected.in_flight,
            "lag/in_queue": collected.in_queue,
            "episodes/in_flight": collected.usage.running,
            "time/wait_policy": collected.usage.blocked,
        }

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
        groups, idle, source = self._collector.ledger.save(), self._idle.save(), self._parts.source
        expansion = self._parts.expansion.save() if self._parts.expansion else {}
        state = State("rl", self.step, source.cursor, groups, idle, self.figures, source.save(), expansion)
        with self._learner.at("save"):
            await self._parts.checkpoints.save(self.number, state, self._parts.learner, self._collector.waiting)
        if self._parts.spans:
            self._parts.spans.save()
        self._saving = self._clock() - begun


def shown(metrics: dict[str, float], figures: dict[str, float]) -> dict[str, float]:
    """What the console shows of a step."""
    entropy = {"entropy": metrics["entropy"]} if "entropy" in metrics else {}
    return {
        "reward": metrics["reward/total"],
        "held-out accuracy": figures["accuracy_after"],
        "length": metrics["len/mean"],
        **entropy,
        "tokens/s": metrics["engine/tokens"] / metrics.get("time/generate", metrics["time/step"]),
    }
