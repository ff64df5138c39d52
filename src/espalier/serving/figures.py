"""What a report tells of a simulation: times to first token, answers, engines, and a piece of its timeline."""

from __future__ import annotations

from typing import Any

import numpy as np

from espalier.serving.config import CompareConfig, TargetsConfig
from espalier.serving.sim.loop import NEVER, Log
from espalier.serving.sim.metrics import Times, engine_figures
from espalier.serving.sim.stage import Answers, decode_stage


def figures(config: CompareConfig, log: Log, pool: str, timeline: bool = False) -> dict[str, Any]:
    """Of one simulation, by name. timeline: also what happened in some seconds of it."""
    times, (instances, ranks) = Times.of(log), config.shape(pool)
    found: dict[str, Any] = {**times.summary(), **engine_figures(log, ranks)}
    found["unfinished"] = len(log.requests) - times.ttft.size
    found["reasons"] = {str(reason): count for reason, count in log.reasons.items()}
    found["fairness"] = times.fairness()
    found["quantiles"] = np.quantile(times.ttft, np.linspace(0, 1, 101)).round(5).tolist() if times.ttft.size else []
    answers = None if config.decode is None else decode_stage(log, config.decode)
    found |= answers.summary() if answers else {}
    if config.targets.given:
        found["good"] = _good(config.targets, times, answers) / len(log.requests)
    if timeline:
        found["timeline"] = _timeline(log, instances, ranks)
    return found


def _good(targets: TargetsConfig, times: Times, answers: Answers | None) -> int:
    """Requests within the targets; one whose answer is one token has no time per further token to keep."""
    good = times.ttft <= (targets.ttft or np.inf)
    if answers is not None and targets.tpot is not None:
        good &= ~(answers.tpot > targets.tpot)
    return int(good.sum())


def _timeline(log: Log, instances: int, ranks: int) -> dict[str, Any]:
    """Some seconds from the middle of the run: passes, and the tokens that each rank was sent in each of 60 slices."""
    middle, span = log.requests[len(log.requests) // 2].arrival, 8.0
    passes = [one for one in log.passes if middle <= one[0] < middle + span]
    heat = np.zeros((instances * ranks, 60), np.int64)
    waits = []
    for request, (instance, rank), placed, begun in zip(log.requests, log.where, log.placed, log.begun, strict=True):
        if middle <= placed < middle + span:
            heat[instance * ranks + rank, int((placed - middle) / span * 60)] += request.prompt
            if begun < NEVER:
                waits.append((placed - middle, instance, begun - placed))
    return {"start": middle, "span": span, "passes": passes, "heat": heat.tolist(), "waits": waits[:2000]}
