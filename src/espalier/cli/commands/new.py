"""`espalier new KIND NAME`: a small working file of one's own, beside a recipe that uses it.

A kind is a folder of `templates/`. Its files become `NAME/...`, with the name in the place of `NAME`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from espalier.core.errors import ConfigError, RunError, nearest
from espalier.core.io.files import write_atomic
from espalier.core.io.text import read_text

TEMPLATES = Path(__file__).with_name("templates")
SUFFIX = ".tmpl"
_NAME = re.compile(r"[a-z]\w*")


def kinds() -> list[str]:
    """What there are templates for."""
    return sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir())


def add_new(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier new`."""
    parser.add_argument("kind", metavar="KIND", help=f"one of {', '.join(kinds())}")
    parser.add_argument("name", metavar="NAME", help="its name, which is also that of the new folder")
    parser.add_argument("--out", type=Path, default=Path(), help="where the folder goes (default: here)")


def write_new(args: argparse.Namespace) -> int:
    """Write the files, and say how to run them."""
    files = contents(args.kind, args.name)
    folder: Path = args.out / args.name
    if folder.exists():
        raise RunError(f"{folder} exists: nothing is overwritten. Take another name, or --out")
    folder.mkdir(parents=True)
    for name, text in files.items():
        write_atomic(folder / name, text)
        print(f"wrote {folder / name}")
    recipe = next(folder / name for name in files if name.endswith(".yaml"))
    print(f"run it: espalier run {recipe}")
    return 0


def contents(kind: str, name: str) -> Mapping[str, str]:
    """The files of a template by their names. Raises ConfigError for an unknown kind or a name that cannot be one."""
    if kind not in kinds():
        raise ConfigError(f"there is no template {kind!r}{nearest(kind, kinds())}")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"the name {name!r} must be a lower-case letter, then letters, digits and underscores")
    files = sorted((TEMPLATES / kind).glob(f"*{SUFFIX}"))
    return {
        file.name.removesuffix(SUFFIX).replace("NAME", name): read_text(file).replace("NAME", name) for file in files
    }
