"""The files of run folders."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import reference as plainly
from mutators import NEUTRAL_TEXT, OTHER_TEXT, bad_byte, named, value_of
from oracle import Open, Reader

from espalier.core.report.build import build
from espalier.core.run.folder import open_folder, read_state
from espalier.core.tracking.metrics import read_history
from readers.recipes import yaml_of

METRICS = [{"step": k, "seconds": k / 8, "loss": 1 / (k + 1), "bad": "nan" if k == 2 else 0.5} for k in range(6)]


def _metrics(folder: Path) -> Path:
    file = folder / "metrics.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in METRICS))
    return file


def _history(file: Path) -> Any:
    found: dict[str, Any] = {}
    content = plainly.text(file)
    for line in content.split("\n")[:-1]:  # the last may be at work
        if line.strip():
            record = plainly.value(line)
            step, seconds = record.pop("step"), record.pop("seconds")
            known = [step, seconds, *(number for number in record.values() if number not in ("nan", "inf", "-inf"))]
            if any(isinstance(number, bool) or not isinstance(number, (int, float)) for number in known):
                raise ValueError(record)
            if step != int(step) or not math.isfinite(seconds) or abs(step) > 1e15 or abs(seconds) > 1e15:
                raise ValueError(step)
            for name, number in record.items():
                found.setdefault(name, []).append([int(step), float(number), float(seconds)])
    return found


HISTORY = Reader(
    "core/metrics.jsonl",
    _metrics,
    lambda file: {name: [list(point) for point in points] for name, points in read_history(file).items()},
    _history,
    NEUTRAL_TEXT[:5],
    (
        bad_byte,
        value_of(b"step", (b'"x"', b"null", b"1.5", b"[]"), lines=True),
        value_of(b"loss", (b'"x"', b"null", b"{}"), lines=True),
    ),
    OTHER_TEXT,
)


def _run_folder(name: str) -> Any:
    def make(folder: Path) -> Path:
        (folder / ".lock").touch()
        (folder / "config.yaml").write_text("job: robots.flight\nname: small\nseed: 1\nn: 3\n...\n")
        (folder / "state.json").write_text('{"status": "finished", "seconds": 2.5, "error": ""}\n')
        (folder / "environment.json").write_text('{"python": "3.11", "resumed": []}\n')
        (folder / "result.json").write_text('{"accuracy": 0.5, "none": null, "seconds": 2.5}\n')
        table = {"kind": "table", "title": "T", "columns": ["a", "b"], "rows": [["x", 1.5]], "wide": False, "note": ""}
        curves = {"kind": "curves", "title": "C", "metrics": ["loss"]}
        rollouts = {"kind": "rollouts", "title": "R", "path": "rollouts.jsonl"}
        (folder / "report.json").write_text(json.dumps([table, curves, rollouts]))
        (folder / "origins.json").write_text(json.dumps([{"key": "n", "value": 3, "origin": "a.yaml:1", "default": 1}]))
        warned = [{"text": f"w{step}", "step": step, "seconds": 0.5} for step in range(3)]
        (folder / "warnings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in warned))
        asked, said = [{"role": "user", "text": "q"}], [{"role": "assistant", "text": "a"}]
        answer = {"turns": said, "facts": {"reward": 0.5}, "correct": True}
        group = {"key": "k", "title": "t", "prompt": asked, "answers": [answer]}
        (folder / "rollouts.jsonl").write_text("".join(json.dumps({"step": n, **group}) + "\n" for n in range(3)))
        _metrics(folder)
        return folder / name

    return make


def _report(file: Path) -> Any:
    """What the page shows of the folder."""
    page = build(file.parent).read_text()
    return json.loads(re.search(r">(\{\"name\":.*?\})</script>", page, re.S).group(1))  # type: ignore[union-attr]


def _state(file: Path) -> Any:
    found = plainly.value(plainly.text(file))
    kinds = {"status": str, "seconds": (int, float), "error": str}
    known = isinstance(found, dict) and set(found) <= set(kinds) and "status" in found
    if not known or any(not isinstance(found[key], kinds[key]) or found[key] is True for key in found):
        raise ValueError(found)
    seconds = float(found.get("seconds", 0))
    if found["status"] not in ("running", "interrupted", "failed", "finished") or not math.isfinite(seconds):
        raise ValueError(found)
    return {"error": "", **found, "seconds": seconds}


STATE = Reader(
    "core/state.json",
    _run_folder("state.json"),
    lambda file: read_state(file.parent),
    _state,
    NEUTRAL_TEXT,
    (bad_byte, value_of(b"status", (b"1", b"null", b'"asleep"')), value_of(b"seconds", (b'"x"', b"null", b"[]"))),
    OTHER_TEXT,
)


def _opened(file: Path) -> Any:
    config, lock = open_folder(file.parent)
    lock.close()
    return config


def _config_reference(file: Path) -> Any:
    found = yaml_of(file)
    if not file.read_bytes().rstrip().endswith(b"..."):
        raise ValueError("cut short")
    if not {"job", "name", "seed"} <= set(found):
        raise ValueError(found)
    return found


CONFIG = Reader(
    "core/config.yaml of a run",
    _run_folder("config.yaml"),
    _opened,
    _config_reference,
    NEUTRAL_TEXT,
    (bad_byte, named("key twice", lambda content, _: (content.replace(b"...", b"seed: 8\n..."), 5))),
    OTHER_TEXT,
)


def _shown(part: str) -> Any:
    return lambda file: _report(file)[part]


def _object(file: Path) -> Any:
    found = plainly.value(plainly.text(file))
    if not isinstance(found, dict):
        raise TypeError(found)
    if "inf" in repr(found):
        raise Open  # shown in words
    return found


def _titles(file: Path) -> Any:
    return [block["title"] for block in _report(file)["blocks"]]


REPORTS = [
    Reader(
        "core/report: config.yaml",
        _run_folder("config.yaml"),
        _shown("config"),
        None,
        NEUTRAL_TEXT,
        (bad_byte,),
        OTHER_TEXT,
    ),
    Reader(
        "core/report: environment.json",
        _run_folder("environment.json"),
        _shown("environment"),
        _object,
        NEUTRAL_TEXT,
        (bad_byte,),
        OTHER_TEXT,
    ),
    Reader(
        "core/report: result.json",
        _run_folder("result.json"),
        _shown("figures"),
        _object,
        NEUTRAL_TEXT,
        (bad_byte,),
        OTHER_TEXT,
    ),
    Reader(
        "core/report: report.json", _run_folder("report.json"), _titles, None, NEUTRAL_TEXT, (bad_byte,), OTHER_TEXT
    ),
    Reader(
        "core/report: metrics.jsonl",
        _run_folder("metrics.jsonl"),
        _report,
        None,
        NEUTRAL_TEXT[:5],
        (bad_byte,),
        OTHER_TEXT,
    ),
    *(
        Reader(f"core/report: {name}", _run_folder(name), _report, None, NEUTRAL_TEXT[:5], (bad_byte,), OTHER_TEXT)
        for name in ("origins.json", "warnings.jsonl", "rollouts.jsonl")
    ),
]


READERS = [HISTORY, STATE, CONFIG, *REPORTS]
