"""Job `rl.sft`: supervised fine-tuning on demonstrations, evaluated on held-out tasks."""

from __future__ import annotations

import asyncio

from espalier.core.run.run import Run
from espalier.rl.algorithms.table import algorithm
from espalier.rl.assemble import Setting, setting
from espalier.rl.config import SFTConfig
from espalier.rl.loop.checkpoints import Checkpoints, State
from espalier.rl.loop.record.cost import Cost
from espalier.rl.loop.supervise import Supervision
from espalier.rl.report import supervised_report


def sft(config: SFTConfig, run: Run) -> dict[str, float]:
    """Returns `accuracy_before` and `accuracy_after`, sampled on held-out tasks."""
    return asyncio.run(_sft(config, run))


async def _sft(config: SFTConfig, run: Run) -> dict[str, float]:
    scene = setting(config, run)
    async with scene.open():
        return await _supervised(config, run, scene)


async def _supervised(config: SFTConfig, run: Run, scene: Setting) -> dict[str, float]:
    learner = await scene.learner(config.learner.over(config.steps), algorithm("reinforce"), "learner")
    trained = sum(p.numel() for p in scene.language.decoder.parameters() if p.requires_grad)
    checkpoints = Checkpoints(run, keep=config.checkpoint.keep)
    state = State("sft", 0)
    if run.resumed and (found := checkpoints.latest()):
        state = found.state
        await learner.load(found.learner)
    run.metrics.rewind(state.step, without="" if state.step else "eval/")
    await scene.check_room(config.rollout, run.say)
    publish = scene.publisher(learner, config.rollout, config.engine)
    evaluator = scene.evaluator(config.rollout, config.evaluation)
    figures = dict(state.figures)

    run.layout(supervised_report(figures))
    with run.progress(config.steps, "supervised fine-tuning") as progress:

        async def evaluate(step: int) -> None:
            await publish()
            evaluation = await evaluator()
            await scene.engine.sleep()
            run.metrics.log(step, evaluation.metrics | Cost(figures).metrics)
            evaluation.put(figures)
            progress.note(f"step {step}: {evaluation.summary}")

        await scene.engine.sleep()
        if state.step == 0:
            await evaluate(0)
        supervision = Supervision(
            run,
            learner,
            scene.demonstrations(config.cut),
            checkpoints,
            steps=config.steps,
            rows=config.rows_per_step,
            save_every=config.checkpoint.interval(trained),
            stage="sft",
            evaluate=evaluate,
            evaluate_every=config.evaluation.every,
            figures=figures,
        )
        finished = await supervision.train(progress, state.step)
    run.report(supervised_report(figures))
    if finished:
        await learner.publish()  # to the model, if the learner's weights are elsewhere
        scene.language.save(run.path / "model", keep=False)
    return figures
