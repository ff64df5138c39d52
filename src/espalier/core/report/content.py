"""Everything that the report of a run shows, as plain data read from its folder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from espalier.core.io.text import read_object
from espalier.core.recipe.provenance import ORIGINS, read_origins
from espalier.core.report import blocks as b
from espalier.core.report.change import headline
from espalier.core.report.drawn import default_blocks, drawn
from espalier.core.report.series import all_curves, by_step
from espalier.core.run.folder import read_config, read_state, standing
from espalier.core.tracking.metrics import History, read_history
from espalier.core.tracking.warnings import read_warnings

_HEAD = (b.Headline, b.Counted)
"""Blocks that stand at the head of the page, not among the cards."""


def content(path: Path) -> dict[str, Any]:
    """What the page of the run folder `path` shows. Raises RunError or DataError where a file of it is broken."""
    config = read_config(path)
    history = read_history(path / "metrics.jsonl")
    state = read_state(path)
    blocks = b.load(path / "report.json") if (path / "report.json").is_file() else default_blocks(history)
    points = [p for series in history.values() for p in series]
    heads = [headline(block, history) for block in blocks if isinstance(block, b.Headline)]
    return {
        "name": config.get("name", path.parent.name),
        "folder": f"{path.parent.name}/{path.name}",
        "status": standing(path, state),
        "error": state.error,
        "seconds": max(state.seconds, max((p.seconds for p in points), default=0.0)),
        "steps": max((p.step for p in points), default=0),
        "config": sayable(config),
        "origins": sayable(read_origins(path / ORIGINS)),
        "environment": sayable(_json(path / "environment.json")),
        "figures": sayable(_json(path / "result.json")),
        "headlines": [head for head in heads if head is not None],
        "warnings": _warnings(path, history, blocks),
        "metrics": all_curves(history),
        "blocks": [drawn(block, history, path) for block in blocks if not isinstance(block, _HEAD)],
    }


def _warnings(path: Path, history: History, blocks: list[b.Block]) -> list[dict[str, Any]]:
    """What the run warned of, then what it counted: each with the step at which it first was so."""
    told = [{"step": w.step, "text": w.text} for w in read_warnings(path / "warnings.jsonl")]
    for block in blocks:
        if isinstance(block, b.Counted):
            steps = [step for step, point in by_step(history.get(block.metric, ())).items() if point.value > 0]
            if steps:
                count = f"{len(steps)} step{'s' if len(steps) > 1 else ''}"
                told.append({"step": steps[0], "text": f"{block.title}: in {count} (metric {block.metric})"})
    return told


def sayable(value: Any) -> Any:
    """The same, with words for the numbers that JSON has none for."""
    match value:
        case dict():
            return {key: sayable(inner) for key, inner in value.items()}
        case list():
            return [sayable(inner) for inner in value]
        case float() if not math.isfinite(value):
            return str(value)
    return value


def embed(value: Any) -> str:
    """JSON that is safe inside a script element: no character that HTML or JavaScript could take for its own."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _json(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}
