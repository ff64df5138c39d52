"""A room imports only rooms on lower floors (see the architecture page); every import statement counts."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "espalier"

MAY_IMPORT = {
    "core": set(),
    "lm": {"core"},
    "graph": {"core"},
    "robots": {"core"},
    "envs": {"core"},
    "engine": {"lm", "core"},
    "rewards": {"envs", "lm", "core"},
    "rl": {"engine", "rewards", "envs", "lm", "core"},
    "serving": {"core", "engine"},
    "agents": {"rl", "engine", "rewards", "envs", "lm", "core"},
    "cli": {"core", "lm", "graph", "robots", "envs", "engine", "rewards", "rl", "serving", "agents"},
}


def imported_modules(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that `source`, a module of `package`, imports anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{stem}.{alias.name}"


def illegal_edges(root: Path) -> list[str]:
    """`file:line room -> room` of each import that does not go down."""
    found = []
    for file in sorted(root.rglob("*.py")):
        package = (root.name, *file.relative_to(root).parent.parts)
        entrance = "cli" if file.name == "__main__.py" else None
        room = package[1] if len(package) > 1 else entrance
        for line, name in imported_modules(file.read_text(), package):
            first, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            known = (root / target).is_dir() or target in MAY_IMPORT
            if first != root.name or not known or target == room:
                continue
            if room is None or target not in MAY_IMPORT.get(room, set()):
                found.append(f"{file.relative_to(root)}:{line} {room} -> {target}")
    return found


def test_rooms_import_only_lower_floors() -> None:
    assert illegal_edges(SOURCE) == []


def test_every_room_has_a_floor() -> None:
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert rooms <= MAY_IMPORT.keys()


@pytest.mark.parametrize(
    ("room", "source", "edge"),
    [
        ("core", "import espalier.rl", "core -> rl"),
        ("core/deep", "from espalier.lm.tokens import Tokenizer", "core -> lm"),
        ("core", "from espalier import lm", "core -> lm"),
        ("envs", "def f():\n    from espalier.lm import x", "envs -> lm"),
        (
            "lm",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from espalier.engine.api import E",
            "lm -> engine",
        ),
        ("lm", "from ..engine import api", "lm -> engine"),
        ("lm/deep", "from ...envs.api import Task", "lm -> envs"),
        ("engine", "from .. import rl", "engine -> rl"),
        ("rl", "import espalier.cli.main as m", "rl -> cli"),
        (".", "from espalier.core import errors", "None -> core"),
    ],
)
def test_an_illegal_edge_is_found(tmp_path: Path, room: str, source: str, edge: str) -> None:
    folder = tmp_path / "espalier" / room
    folder.mkdir(parents=True)
    (folder / "module.py").write_text(source)
    (found,) = illegal_edges(tmp_path / "espalier")
    assert found.endswith(edge)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("rl", "from espalier.core.run.run import Run\nfrom espalier.engine.api import Engine"),
        ("rl/deep", "from ..trajectory import Trajectory\nfrom . import other"),
        ("core", "import json, numpy\nfrom espalier import __version__"),
        ("cli", "from espalier.rl.jobs import JOBS"),
    ],
)
def test_a_legal_edge_passes(tmp_path: Path, room: str, source: str) -> None:
    folder = tmp_path / "espalier" / room
    folder.mkdir(parents=True)
    (folder / "module.py").write_text(source)
    assert illegal_edges(tmp_path / "espalier") == []
