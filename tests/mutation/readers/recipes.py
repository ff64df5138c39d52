"""Recipes and overrides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import reference as plainly
import yaml
from mutators import NEUTRAL_TEXT, OTHER_TEXT, bad_byte, named
from oracle import Open, Reader

from espalier.cli.commands.showing import _summary
from espalier.core.recipe.layers import read_layers

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


def yaml_of(file: Path) -> Any:
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
    yaml_of,
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


def _listed(file: Path) -> str:
    try:
        first = plainly.text(file).split("\n")[0]
    except UnicodeDecodeError as error:
        raise Open from error  # it may stand below the first line
    return first.removeprefix("#").strip() if first.startswith("#") else ""


SUMMARY = Reader("cli/list", _recipe, _summary, _listed, NEUTRAL_TEXT, (), OTHER_TEXT)


READERS = [RECIPES, OVERRIDES, SUMMARY]
