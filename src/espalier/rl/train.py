"""Job `rl.train`: a supervised warm start, reinforcement learning, and a report of both."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path

import torch

from espalier.core.run.run import Run
from espalier.engine.process.cores import divided
from espalier.rl.assemble import Setting, setting
from espalier.rl.config import TrainConfig
from espalier.rl.curriculum.build import build_expansion, build_source
from espalier.rl.doctor.examine import examine
from espalier.rl.learner.api import Learner
from espalier.rl.learner.config import LearnerConfig
from espalier.rl.loop.checkpoints import Checkpoints, State
from espalier.rl.loop.loop import Loop, Parts
from espalier.rl.loop.supervise import Supervision
from espalier.rl.plan import plan
from espalier.rl.report import story, training_report
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.rollout.tree.credit import TreeCredit


def train(config: TrainConfig, run: Run) -> dict[str, float]:
    """Returns `accuracy_before` (after the warm start) and `accuracy_after`, both sampled on held-out tasks, and the
    same of `greedy`, `probe` and `probe_greedy` where the evaluation measures them.

    A run that is asked to stop writes a checkpoint and returns the figures it has.
    """
    training = Training(config, run)
    _freeze()
    try:
        return asyncio.run(training.run())
    finally:
        gc.unfreeze()


def _freeze() -> None:
    """What exists now lives as long as the run: collections of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()


class Training:
    """One run of the job: the objects, and the two stages that use them."""

    def __init__(self, config: TrainConfig, run: Run) -> None:
        self._config = config
        self._run = run
        self._setting: Setting = setting(config, run)
        if config.cluster.kind == "local" and config.engine.on_these_cores and config.rollout.overlap:
            cores = divided(config.engine.count, overlap=True, threads=config.engine.threads)
            torch.set_num_threads(cores.learner)  # the others are the engines'
        trained = sum(p.numel() for p in self._setting.language.decoder.parameters() if p.requires_grad)
        self._save_every = config.checkpoint.interval(trained)
        self._checkpoints = Checkpoints(run, keep=config.checkpoint.keep)

    async def run(self) -> dict[str, float]:
        """Run both stages, from the newest checkpoint."""
        async with self._setting.open():
            return await self._stages()

    async def _stages(self) -> dict[str, float]:
        for line in plan(self._config, self._setting.language, self._setting.ranks):
            self._run.say(line)
        self._setting.check_engine(self._config.rollout, self._config.engine)
        await self._setting.check_room(self._config.rollout, self._run.say)
        found = self._checkpoints.latest() if self._run.resumed else None
        if found and found.state.stage == "rl":
            return await self._reinforce(found.learner, found.state, found.waiting)
        path, step = (found.learner, found.state.step) if found else (None, 0)
        figures = dict(found.state.figures) if found else {}
        if not await self._warm_start(path, step, figures):
            return {}
        warm = self._config.warm_start
        state = State("rl", 0, cursor=warm.steps * warm.rows_per_step, figures=figures)
        return await self._reinforce(None, state, ())

    async def _warm_start(self, path: Path | None, start: int, figures: dict[str, float]) -> bool:
        """Supervised training of the model in place, its cost in `figures`; returns whether it was finished."""
        run, config, warm = self._run, self._config, self._config.warm_start
        if not warm.steps:
            return True
        learner = await self._learner(
            LearnerConfig(
                optim=warm.optim.over(warm.steps),
                tokens_per_microbatch=config.learner.tokens_per_microbatch,
                precision=config.learner.precision,
                recompute_activations=config.learner.recompute_activations,
            ),
            "warm_start",
        )
        if path:
            await learner.load(path)
        run.metrics.rewind(start)
        run.layout(training_report(config, {}))
        await self._setting.engine.sleep()
        supervision = Supervision(
            run,
            learner,
            self._setting.demonstrations(),
            self._checkpoints,
            steps=warm.steps,
            rows=warm.rows_per_step,
            save_every=self._save_every,
            stage="warm_start",
            figures=figures,
        )
        with run.progress(warm.steps, "warm start") as progress:
            finished = await supervision.train(progress, start)
        await learner.publish()  # to the model, if the learner's weights are elsewhere
        return finished

    async def _reinforce(self, path: Path | None, state: State, waiting: Sequence[ScoredGroup]) -> dict[str, float]:
        run, config, setting = self._run, self._config, self._setting
        learner = await self._learner(config.learner.over(config.steps), "learner")
        if path:
            await learner.load(path)
        run.metrics.rewind(config.warm_start.steps + state.step, without="" if state.step else "eval/")
        rollouts = setting.rollout_log(config, run)
        rollouts.rewind(config.warm_start.steps + state.step)
        in_flight = InFlight(config.rollout.max_in_flight)
        parts = Parts(
            engine=setting.engine,
            learner=learner,
            publish=setting.publisher(learner, config.rollout, config.engine),
            player=setting.player(config.rollout, "rollout", config.algorithm, in_flight),
            in_flight=in_flight,
            under_way=setting.under_way,
            source=build_source(config, setting.tasks, state, seed=run.seed),
            evaluator=setting.evaluator(config.rollout, config.evaluation),
            checkpoints=self._checkpoints,
            rollouts=rollouts,
            save_every=self._save_every,
            spans=setting.spans,
            credit=TreeCredit(config.rollout.tree, overlong=not config.shuffle_rewards)
            if config.rollout.tree
            else None,
            expansion=build_expansion(config, state, seed=run.seed),
        )
        loop = Loop(run, config, parts, offset=config.warm_start.steps, state=state, waiting=waiting)
        run.look = loop.now
        browser = setting.browser(config, run.artefact("samples"))
        with run.progress(config.warm_start.steps + config.steps, "reinforcement learning") as progress:
            await loop.begin(progress)
            if state.step == 0:
                await browser.write("before")
            run.layout(training_report(config, loop.figures, browser.block()))
            _freeze()
            finished = await loop.run(progress)
            await browser.write("after")
        history = run.metrics.history()
        told, findings = story(config, history), examine(config, history)
        run.report(training_report(config, loop.figures, browser.block(), told, findings))
        if finished:
            setting.language.save(run.path / "model", keep=False)
        return loop.figures

    async def _learner(self, config: LearnerConfig, purpose: str) -> Learner:
        rollout, algorithm = self._config.rollout, self._config.algorithm
        return await self._setting.learner(
            config,
            algorithm.over(rollout.max_tokens),
            purpose,
            temperature=rollout.temperature,
            skip_idle=rollout.skip_zero_variance,
        )
