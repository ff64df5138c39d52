"""Where the settings of a run come from, kept beside its config: what differs from the defaults, and who set it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from espalier.core.config import Config
from espalier.core.io.files import write_atomic
from espalier.core.io.typed import read_typed
from espalier.core.recipe.layers import Key, KeyPath, Layers, dotted_name, read_layers
from espalier.core.recipe.resolve import Recipe, RunConfig, leaves
from espalier.core.recipe.variants import Variants, bases

ORIGINS = "origins.json"
"""The file in the run folder."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that a recipe or an override set: its dotted key, its value and where it was set.

    default: what it would be otherwise; None also where it must be set. recipe: what the recipe's files say, where an
    override says otherwise, else None. differs: whether the value is another one than the default.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    key: str
    value: Any
    origin: str
    default: Any = None
    recipe: Any = None
    differs: bool = True


_SETTINGS = TypeAdapter(list[Setting])


def settings(recipe: Recipe, files: Sequence[Path]) -> list[Setting]:
    """Every setting of `recipe` that is not left at its default. `files` are the recipe's own."""
    plain = read_layers(files, [], Variants((recipe.job.config, RunConfig)).selector)
    variants = {
        path: value
        for at, name, base in bases(recipe.config)
        for path, value in leaves(at, dict(base))
        if value != name  # the selector's own default is its section's
    }
    defaults = _defaults(recipe.config) | _defaults(recipe.run)
    found = []
    for path, value in leaves((), recipe.resolved):
        origin = recipe.layers.origin(path)
        if origin is None:
            continue
        known, default = (True, variants[path]) if path in variants else _default(recipe.config, defaults, path)
        before = _at(plain, path) if origin.startswith("override ") else None
        differs = not known or default != value
        found.append(Setting(dotted_name(path), value, origin, default, before, differs))
    return found


def save_origins(found: Sequence[Setting], path: Path) -> None:
    """Write the settings as JSON, atomically."""
    write_atomic(path, _SETTINGS.dump_json(list(found), indent=2))


def read_origins(path: Path) -> list[dict[str, Any]]:
    """The settings in a file as plain data; none where there is no file. Raises DataError where it is broken."""
    found = read_typed(path, _SETTINGS) if path.is_file() else []
    plain: list[dict[str, Any]] = _SETTINGS.dump_python(found, mode="json")
    return plain


def _defaults(config: Config) -> dict[str, Any]:
    """What the sections are unless they are given, as plain data; fields that must be given are absent."""
    return type(config).model_construct().model_dump(mode="json", warnings=False)


def _default(config: Config, defaults: dict[str, Any], path: KeyPath) -> tuple[bool, Any]:
    """Whether there is a default of the value at `path`, and the default: the root's, else that of the section."""
    value: Any = defaults
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return _of_section(config, path)
        value = value[key]
    return True, value


def _of_section(config: Config, path: KeyPath) -> tuple[bool, Any]:
    section: Any = config
    for key in path[:-1]:
        section = _child(section, key)
    if not isinstance(section, Config) or path[-1] not in type(section).model_fields:
        return False, None
    defaults = _defaults(section)
    return path[-1] in defaults, defaults.get(str(path[-1]))


def _child(section: Any, key: Key) -> Any:
    if isinstance(section, Config):
        return getattr(section, str(key), None)
    if isinstance(section, list | tuple) and isinstance(key, int) and key < len(section):
        return section[key]
    return section.get(key) if isinstance(section, dict) else None


def _at(layers: Layers, path: KeyPath) -> Any:
    try:
        return layers.at(path)
    except (KeyError, IndexError, TypeError):
        return None
