"""What is computed and what is reused, counted, not timed."""

from __future__ import annotations

import asyncio

from common import Row
from espalier.engine.api import Sampling
from espalier.engine.local import LocalEngine
from espalier.lm.decoder import Decoder


def counts(model: Decoder) -> list[Row]:
    """Prompt tokens computed by a group of 8, by a fork and by a next turn, against what is new in each."""
    return asyncio.run(_counts(model))


async def _counts(model: Decoder) -> list[Row]:
    engine = LocalEngine(model, max_rows=4, max_len=128)
    prompt = list(range(4, 36))
    group = await asyncio.gather(*(engine.generate(prompt, Sampling(max_tokens=9, seed=i)) for i in range(8)))
    trunk = await engine.generate([7, *prompt], Sampling(max_tokens=40), session="talk")
    row = [7, *prompt, *trunk.tokens]
    fork = await engine.generate(row[:50], Sampling(max_tokens=4, seed=1))
    turn = await engine.generate([*row, 5, 6], Sampling(max_tokens=4), session="talk")
    return [
        _exact("prompt tokens computed for 8 samples", sum(sample.prefilled for sample in group), len(prompt)),
        _exact("prefix tokens recomputed by a fork", fork.prefilled, 0),
        _exact("prefix tokens recomputed by a next turn", turn.prefilled - 3, 0),
    ]


def _exact(name: str, counted: int, wanted: int) -> Row:
    return Row(name, counted, wanted, "tokens", 1.0 if counted == wanted else 0.0, must=1.0)
