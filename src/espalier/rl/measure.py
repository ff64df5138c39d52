"""Job `rl.eval`: avg@n and pass@k of a model on held-out tasks, with every answer in a file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from espalier.core.io.jsonlines import JsonLines
from espalier.core.report.blocks import Block, Number, Passage, Sample, Samples, Table
from espalier.core.run.run import Run
from espalier.envs.api import Episode
from espalier.rl.assemble import Setting, setting
from espalier.rl.eval_config import EvalConfig
from espalier.rl.loop.evaluate import Evaluation, Evaluator
from espalier.rl.loop.record.rollout_log import title
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory

SAMPLES = "samples.jsonl"
"""The artefact with all answers."""
SHOWN = 400
"""Answers that the report shows."""


def measure(config: EvalConfig, run: Run) -> dict[str, float]:
    """Returns `accuracy` (avg@n), its interval `accuracy_lo` and `accuracy_hi`, each `pass@k`, `length`, `failed`, and
    `greedy`, `probe`, `probe_greedy` where they are asked for.
    """
    return asyncio.run(_measure(config, run))


async def _measure(config: EvalConfig, run: Run) -> dict[str, float]:
    scene = setting(config, run)
    async with scene.open():
        return await _evaluated(config, run, scene)


async def _evaluated(config: EvalConfig, run: Run, scene: Setting) -> dict[str, float]:
    await scene.check_room(config.rollout, run.say)
    evaluations = scene.evaluator(config.rollout, config.evaluation, config.k)
    evaluator = evaluations.main
    run.metrics.rewind(-1)
    with run.progress(config.evaluation.tasks, "evaluation") as progress:
        groups = await evaluator.play(lambda count: progress.update(count, {}))
    evaluation = await evaluations.complete(groups)
    if evaluation.failed:
        run.say(f"warning: {evaluation.failed} attempts failed and count as wrong; the first: {evaluation.error}")
    run.metrics.log(0, evaluation.metrics)
    _write_samples(run, groups, evaluator)
    table = results(evaluation, groups)
    for line in as_text(table):
        run.say(line)
    run.say(f"samples: {run.artefact(SAMPLES)}")
    run.report(_blocks(table, groups, evaluator))
    return figures(evaluation)


def figures(evaluation: Evaluation) -> dict[str, float]:
    """What goes into `result.json`."""
    metrics = evaluation.metrics
    found = {
        "accuracy": evaluation.accuracy,
        "accuracy_lo": metrics["eval/avg_lo"],
        "accuracy_hi": metrics["eval/avg_hi"],
    }
    found |= {name.removeprefix("eval/"): value for name, value in metrics.items() if name.startswith("eval/pass@")}
    found |= {"length": metrics["eval/len"]} if "eval/len" in metrics else {}
    return found | evaluation.also | {"failed": metrics["eval/failed"]}


def results(evaluation: Evaluation, groups: Sequence[ScoredGroup]) -> Table:
    """A row for all tasks, and one for each task set where there are several."""
    counts: dict[str, int] = {}
    for group in groups:
        counts[group.task.env] = counts.get(group.task.env, 0) + 1
    prefixes: list[tuple[str, str, int | None]] = [
        ("all" if len(counts) > 1 else next(iter(counts)), "eval", len(groups))
    ]
    prefixes += [(name, f"eval/{name}", count) for name, count in counts.items() if len(counts) > 1]
    ks = [name.removeprefix("eval/") for name in evaluation.metrics if name.startswith("eval/pass@")]
    prefixes += [(name.replace("_", " "), name, None) for name in evaluation.also]
    rows: list[list[str | Number]] = []
    for name, prefix, count in prefixes:
        value = {key: evaluation.metrics.get(f"{prefix}/{key}") for key in ("avg", "avg_lo", "avg_hi", "len", *ks)}
        interval = f"{_percent(value['avg_lo'])} to {_percent(value['avg_hi'])}"
        length = value["len"]
        rows.append(
            [
                name,
                count,
                _percent(value["avg"]),
                interval,
                *(_percent(value[k]) for k in ks),
                None if length is None else round(length, 1),
            ]
        )
    return Table("Results", ["tasks", "number", "accuracy", "95% interval", *ks, "tokens"], rows, wide=True)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def as_text(table: Table) -> list[str]:
    """The lines of a table, aligned."""
    rows = [[str(cell if cell is not None else "") for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    return [
        "  ".join(
            f"{cell:<{width}}" if not i else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _write_samples(run: Run, groups: Sequence[ScoredGroup], evaluator: Evaluator) -> None:
    """Every attempt as a line; those of a run that was resumed are written anew."""
    path = run.artefact(SAMPLES)
    path.unlink(missing_ok=True)
    lines = JsonLines(path)
    for group in groups:
        for row, episode, correct in zip(group.rows, group.episodes, evaluator.correct(group), strict=False):
            lines.append(_line(row, episode, correct))


def _line(row: Trajectory, episode: Episode, correct: bool) -> dict[str, Any]:
    return {
        "task": row.task,
        "key": row.key,
        "attempt": row.member,
        "messages": [{"role": message.role.value, "content": message.content} for message in episode.messages],
        "expected": episode.task.answer,
        "correct": correct,
        "reward": row.reward,
        "rewards": row.rewards,
        "tokens": row.sampled,
        "finish": episode.finish,
    }


def _blocks(table: Table, groups: Sequence[ScoredGroup], evaluator: Evaluator) -> list[Block]:
    samples = [
        _sample(row, episode, correct)
        for group in groups
        for row, episode, correct in zip(group.rows, group.episodes, evaluator.correct(group), strict=False)
    ]
    note = "" if len(samples) <= SHOWN else f"The first {SHOWN} of {len(samples)}; artefacts/{SAMPLES} has them all."
    return [table, Samples("Answers", {"answers": samples[:SHOWN]}, note=note)]


def _sample(row: Trajectory, episode: Episode, correct: bool) -> Sample:
    passages = [Passage(message.role.value, [message.content]) for message in episode.messages]
    facts: dict[str, str | Number] = {"reward": row.reward, "tokens": row.sampled, "finish": episode.finish}
    facts |= {"expected": episode.task.answer} if episode.task.answer else {}
    return Sample(f"{row.key}/{row.member}", passages, correct, facts, title(episode))
