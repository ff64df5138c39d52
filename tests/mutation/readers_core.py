"""Recipes, overrides and the files of run folders."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import reference as plainly
import yaml
from mutators import NEUTRAL_TEXT, OTHER_TEXT, bad_byte, named, value_of
from oracle import Open, Reader

from espalier.cli.showing import _summary
from espalier.core.folder import open_folder, read_state
from espalier.core.recipe.layers import read_layers
from espalier.core.report.build import build
from espalier.core.tracking.metrics import read_history

RECIPE = """# What it shows
job: robots.flight
name: small
seed: 7
n: 12
shape: {kind: text, words: "A B"}
cases: [open, "forest", 1.5, .5, 3e-4, true, null, -2]
nested:
  deep: {one: 1, two: [1, [2, 3]]}
text: plain words
"""
SCALARS = (
    (r"~|null|Null|NULL|", lambda text: None),
    (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    (r"[-+]?[0-9]+", int),
    (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
    (r"[-+]?\.(inf|Inf|INF)", lambda text: float(text.replace(".", ""))),
    (r"\.(nan|NaN|NAN)", lambda text: float("nan")),
)
"""The core schema of YAML 1.2."""


def _data(node: yaml.Node) -> Any:
    """Plain data of a node. Tags and what our YAML adds to the core schema are open; keys are text, each once."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        if len(set(map(str, keys))) < len(keys) or not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            raise ValueError("keys")
        return {key.value: _data(inner) for key, inner in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_data(inner) for inner in node.value]
    if node.tag != "tag:yaml.org,2002:str":
        raise Open
    if node.style is not None:
        return node.value
    if re.fullmatch(r"[-+]?[0-9][0-9_]*_[0-9_.eE]*", node.value):
        raise Open
    return next((make(node.value) for form, make in SCALARS if re.fullmatch(form, node.value)), node.value)


def _yaml(file: Path) -> Any:
    content = plainly.text(file)
    if re.search(r"[&*!]|<<", content):
        raise Open  # anchors, aliases and tags
    node = yaml.compose(content, yaml.BaseLoader)
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("no mapping")
    return _data(node)


def _recipe(folder: Path) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(RECIPE)
    return file


def _commented(content: bytes, rng: Any) -> Any:
    lines = content.split(b"\n")
    lines.insert(rng.randrange(len(lines)), b"# a remark")
    return b"\n".join(lines), None


def _reordered(content: bytes, rng: Any) -> Any:
    return content.replace(b"job: robots.flight\nname: small\n", b"name: small\njob: robots.flight\n"), None


def _twice(content: bytes, _: Any) -> Any:
    return content + b"seed: 8\n", content.count(b"\n") + 1


def _tabbed(content: bytes, _: Any) -> Any:
    return content.replace(b"  deep", b"\tdeep"), content[: content.index(b"  deep")].count(b"\n") + 1


def _aliased(content: bytes, rng: Any) -> Any:
    bomb = b"a0: &a0 [x, x]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (k, k, b", ".join([b"*a%d" % (k - 1)] * 9)) for k in range(1, 12)
    )
    return content + rng.choice((b"me: &me [*me]\n", b"me: &me {a: *me}\n", bomb)), None


def _unclosed(content: bytes, _: Any) -> Any:
    return content.replace(b"]]}", b"]"), None


RECIPES = Reader(
    "core/recipe.yaml",
    _recipe,
    lambda file: read_layers([file]).data,
    _yaml,
    (*NEUTRAL_TEXT, _commented, named("reordered", _reordered)),
    (bad_byte, named("key twice", _twice), named("tab", _tabbed), named("endless aliases", _aliased), _unclosed),
    OTHER_TEXT,
)


def _overrides(folder: Path) -> Path:
    file = folder / "words"
    file.write_text("n=5\nshape.words=FLIP\ncases.1=[1, 2]\noptim.lr=3e-4\nx={a: 1, b: .inf}\n")
    return file


def _overridden(file: Path) -> Any:
    return read_layers([_recipe(file.parent)], file.read_bytes().decode(errors="surrogateescape").split("\n")[:-1]).data


OVERRIDES = Reader("core/overrides", _overrides, _overridden, None, (), (), OTHER_TEXT, names_file=False)

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
        (folder / "config.yaml").write_text("job: robots.flight\nname: small\nseed: 1\nn: 3\n")
        (folder / "state.json").write_text('{"status": "finished", "seconds": 2.5, "error": ""}\n')
        (folder / "environment.json").write_text('{"python": "3.11", "resumed": []}\n')
        (folder / "result.json").write_text('{"accuracy": 0.5, "none": null, "seconds": 2.5}\n')
        table = {"kind": "table", "title": "T", "columns": ["a", "b"], "rows": [["x", 1.5]], "wide": False, "note": ""}
        (folder / "report.json").write_text(json.dumps([table, {"kind": "curves", "title": "C", "metrics": ["loss"]}]))
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


CONFIG = Reader(
    "core/config.yaml of a run",
    _run_folder("config.yaml"),
    _opened,
    _yaml,
    NEUTRAL_TEXT,
    (bad_byte, named("key twice", lambda content, _: (content + b"seed: 8\n", 5))),
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
]


def _listed(file: Path) -> str:
    try:
        first = plainly.text(file).split("\n")[0]
    except UnicodeDecodeError as error:
        raise Open from error  # it may stand below the first line
    return first.removeprefix("#").strip() if first.startswith("#") else ""


SUMMARY = Reader("cli/list", _recipe, _summary, _listed, NEUTRAL_TEXT, (), OTHER_TEXT)

READERS = [RECIPES, OVERRIDES, HISTORY, STATE, CONFIG, *REPORTS, SUMMARY]
