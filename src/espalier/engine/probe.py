"""Checks that an engine serves the weights that it was given.

An engine that says it has loaded weights may still serve others: a reload that skips repacked matrices, a bucket that
was lost, a cache of old keys. The label of a version says nothing about it. The log-probs of a few sequences do.
"""

from __future__ import annotations

import asyncio

from espalier.core.errors import EngineError
from espalier.engine.api import Engine, PauseMode
from espalier.engine.updates import Probe, WeightUpdate


class ProbeError(EngineError):
    """An engine's log-probs are not those of the weights that it was given."""


async def check(engine: Engine, probe: Probe, version: int) -> None:
    """Score the probe's sequences. Raises ProbeError where a log-prob differs by more than the tolerance.

    Rounding grows with the log-prob (to 2e-4 at -11 in fp32 after odd tokens), and so does what is accepted beyond 1
    nat.
    """
    worst = 0.0
    scores = await asyncio.gather(*(engine.score(sequence) for sequence in probe.sequences))
    for found, expected in zip(scores, probe.logprobs, strict=True):
        if len(found) != len(expected):
            raise ProbeError(f"the engine scored {len(found)} of {len(expected)} tokens of a probe")
        worst = max(worst, *(abs(a - b) / max(1.0, abs(b)) for a, b in zip(found, expected, strict=True)))
    if not worst <= probe.tolerance:
        raise ProbeError(
            f"the engine does not serve the weights of version {version}: its log-probs differ by {worst:.2g} from the "
            f"learner's (relative beyond 1 nat), and at most {probe.tolerance:.2g} is expected"
        )


async def publish(engine: Engine, update: WeightUpdate, mode: PauseMode) -> None:
    """`Engine.publish` by the engine's other calls. The engine resumes also where it cannot load the weights."""
    await engine.pause(mode)
    try:
        await engine.load(update)
    finally:
        await engine.resume()
    if update.probe is not None:
        await check(engine, update.probe, update.version)
