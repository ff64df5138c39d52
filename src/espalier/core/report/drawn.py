"""Blocks as plain data, with their metrics and files resolved: what the page's script draws."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from espalier.core.report import blocks as b
from espalier.core.report.rollouts import rollout_sets
from espalier.core.report.series import curve, finite, matching, stack, total
from espalier.core.tracking.metrics import History

_IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}


def default_blocks(history: History) -> list[b.Block]:
    """A block for each family of metrics (the part before `/`), for a run that has not written its own report yet."""
    families = dict.fromkeys(name.partition("/")[0] for name in sorted(history) if "/" in name)
    alone = [name for name in sorted(history) if "/" not in name]
    shown: list[b.Block] = [b.Curves(name, [name]) for name in alone]
    for family in families:
        patterns = [f"{family}/*"]
        shown.append(b.Timing("Time", patterns) if family == "time" else b.Curves(family, patterns))
    return shown


def drawn(block: b.Block, history: History, path: Path) -> dict[str, Any]:
    """The block as plain data, with its metrics resolved."""
    found: dict[str, Any] = {"kind": block.kind, "title": block.title, "wide": block.wide, "note": block.note}
    match block:
        case b.Curves():
            names = matching(block.metrics, history, without=block.band)
            found["series"] = [{"label": block.labels.get(n, n), **curve(history, n, block.band)} for n in names]
            found["references"] = [{"label": r.label, "value": r.value} for r in block.references]
            found |= {"percent": block.percent, "log": block.log}
        case b.Shares():
            stacked = stack(history, matching(block.metrics, history))
            found["series"] = [{"label": block.labels.get(n, n), "values": v} for n, v in stacked["values"].items()]
            found["steps"] = stacked["steps"]
        case b.Timing():
            names = matching(block.metrics, history)
            found["parts"] = [[block.labels.get(n, n), finite(total(history, n))] for n in names]
        case b.Table():
            found |= {"columns": list(block.columns), "rows": [[_number(cell) for cell in row] for row in block.rows]}
        case b.Image():
            found["source"] = _data_url(path / block.path)
        case b.Text():
            found["text"] = block.text
        case b.Rollouts():
            found |= rollout_sets(path / block.path) | {"kind": "samples", "colour": "", "by_step": True}
        case b.Samples():
            found["colour"] = block.colour
            found["sets"] = [
                {"label": name, "samples": [_sample(s) for s in some]} for name, some in block.sets.items()
            ]
    return found


def _sample(one: b.Sample) -> dict[str, Any]:
    passages = [
        {
            "role": passage.role,
            "pieces": list(passage.pieces),
            "values": {name: [_number(v) for v in values] for name, values in passage.values.items()},
        }
        for passage in one.passages
    ]
    facts = {name: _number(value) for name, value in one.facts.items()}
    return {"key": one.key, "title": one.title, "passages": passages, "correct": one.correct, "facts": facts}


def _number(value: str | b.Number) -> str | b.Number:
    return finite(value) if isinstance(value, float) else value


def _data_url(path: Path) -> str | None:
    """The file as a URL that holds it; None where it is missing or no image that browsers know (the page says so)."""
    kind = _IMAGE_TYPES.get(path.suffix.lower())
    if kind is None or not path.is_file():
        return None
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
