"""The HTML report of a run folder: one file that opens anywhere, offline, made from the folder's files alone."""

from __future__ import annotations

import base64
import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

from espalier.core.files import write_atomic
from espalier.core.folder import is_locked, read_config, read_state
from espalier.core.report import blocks as b
from espalier.core.report.series import curve, finite, matching, stack, total
from espalier.core.text import read_object
from espalier.core.tracking.metrics import History, read_history

_STYLES = ("style.css", "charts.css", "samples.css")
_SCRIPTS = ("tools.js", "chart.js", "blocks.js", "samples.js", "page.js")
_IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}


def build(path: Path) -> Path:
    """Write `report.html` of the run folder `path`, finished or not, and return it."""
    page = resources.files(__package__)
    html = page.joinpath("page.html").read_text("utf-8")
    parts = {
        "/*style*/": "".join(page.joinpath(name).read_text("utf-8") for name in _STYLES),
        "/*script*/": "\n".join(page.joinpath(name).read_text("utf-8") for name in _SCRIPTS),
        "/*data*/": embed(_content(path)),
    }
    for mark, text in parts.items():
        before, _, after = html.partition(mark)
        html = before + text + after
    target = path / "report.html"
    write_atomic(target, html)
    return target


def embed(value: Any) -> str:
    """JSON that is safe inside a script element: no character that HTML or JavaScript could take for its own."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _content(path: Path) -> dict[str, Any]:
    """Everything the page shows."""
    config = read_config(path)
    history = read_history(path / "metrics.jsonl")
    state = read_state(path)
    blocks = b.load(path / "report.json") if (path / "report.json").is_file() else default_blocks(history)
    killed = state.status == "running" and not is_locked(path)
    points = [p for series in history.values() for p in series]
    return {
        "name": config.get("name", path.parent.name),
        "folder": f"{path.parent.name}/{path.name}",
        "status": "killed" if killed else state.status,
        "error": state.error,
        "seconds": max(state.seconds, max((p.seconds for p in points), default=0.0)),
        "steps": max((p.step for p in points), default=0),
        "config": _sayable(config),
        "environment": _sayable(_json(path / "environment.json")),
        "figures": _sayable(_json(path / "result.json")),
        "blocks": [_drawn(block, history, path) for block in blocks],
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


def _drawn(block: b.Block, history: History, path: Path) -> dict[str, Any]:
    """The block as plain data, with its metrics resolved."""
    drawn: dict[str, Any] = {"kind": block.kind, "title": block.title, "wide": block.wide, "note": block.note}
    match block:
        case b.Curves():
            names = matching(block.metrics, history, without=block.band)
            drawn["series"] = [{"label": block.labels.get(n, n), **curve(history, n, block.band)} for n in names]
            drawn["references"] = [{"label": r.label, "value": r.value} for r in block.references]
            drawn |= {"percent": block.percent, "log": block.log}
        case b.Shares():
            stacked = stack(history, matching(block.metrics, history))
            drawn["series"] = [{"label": block.labels.get(n, n), "values": v} for n, v in stacked["values"].items()]
            drawn["steps"] = stacked["steps"]
        case b.Timing():
            names = matching(block.metrics, history)
            drawn["parts"] = [[block.labels.get(n, n), finite(total(history, n))] for n in names]
        case b.Table():
            drawn |= {"columns": list(block.columns), "rows": [[_number(cell) for cell in row] for row in block.rows]}
        case b.Image():
            drawn["source"] = _data_url(path / block.path)
        case b.Text():
            drawn["text"] = block.text
        case b.Samples():
            drawn["colour"] = block.colour
            drawn["sets"] = [
                {"label": name, "samples": [_sample(s) for s in some]} for name, some in block.sets.items()
            ]
    return drawn


def _sample(sample: b.Sample) -> dict[str, Any]:
    passages = [
        {
            "role": passage.role,
            "pieces": list(passage.pieces),
            "values": {name: [_number(v) for v in values] for name, values in passage.values.items()},
        }
        for passage in sample.passages
    ]
    facts = {name: _number(value) for name, value in sample.facts.items()}
    return {"key": sample.key, "passages": passages, "correct": sample.correct, "facts": facts}


def _number(value: str | b.Number) -> str | b.Number:
    return finite(value) if isinstance(value, float) else value


def _data_url(path: Path) -> str | None:
    """The file as a URL that holds it; None where it is missing or no image that browsers know (the page says so)."""
    kind = _IMAGE_TYPES.get(path.suffix.lower())
    if kind is None or not path.is_file():
        return None
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _sayable(value: Any) -> Any:
    """The same, with words for the numbers that JSON has none for."""
    match value:
        case dict():
            return {key: _sayable(inner) for key, inner in value.items()}
        case list():
            return [_sayable(inner) for inner in value]
        case float() if not math.isfinite(value):
            return str(value)
    return value


def _json(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}
