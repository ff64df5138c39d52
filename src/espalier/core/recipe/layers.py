"""The raw side of a recipe: files merged left to right, then overrides, each value with the place it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from espalier.core.errors import ConfigError, DataError
from espalier.core.recipe import yaml12
from espalier.core.text import read_text

Key = str | int
KeyPath = tuple[Key, ...]
"""Where a value stands: mapping keys and list indices from the root."""

Origins = dict[KeyPath, str]
"""Where each value was set: `file:line`, or the override."""

MOST_VALUES = 100_000
"""In a file. Aliases of aliases would make any number of a few lines."""


@dataclass(slots=True)
class Layers:
    """Plain data, and where each key of it was set: `file:line`, or the override."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> str | None:
        """Where the value at `path`, or a list or scalar that became it, was set; None for a default."""
        if path in self.origins:
            return self.origins[path]
        for length in range(len(path) - 1, 0, -1):
            if path[:length] in self.origins:
                return None if isinstance(self.at(path[:length]), dict) else self.origins[path[:length]]
        return None

    def at(self, path: KeyPath) -> Any:
        """The value at `path`, which must exist."""
        value: Any = self.data
        for key in path:
            value = value[key]
        return value

    def merge(self, data: Mapping[str, Any], origins: Origins, path: KeyPath = ()) -> None:
        """Merge `data` into the mapping at `path`: mappings merge, everything else is replaced."""
        target = self.at(path)
        for key, value in data.items():
            here = (*path, key)
            if isinstance(value, dict) and isinstance(target.get(key), dict):
                self.origins[here] = origins[here]
                self.merge(value, origins, here)
            else:
                self.put(here, value, origins)

    def put(self, path: KeyPath, value: Any, origins: Origins) -> None:
        """Replace the value at `path`, and the origins of everything in it by those in `origins`."""
        self.at(path[:-1])[path[-1]] = value
        kept = {p: where for p, where in self.origins.items() if p[: len(path)] != path}
        self.origins = kept | {p: where for p, where in origins.items() if p[: len(path)] == path}


def read_layers(files: Sequence[Path], overrides: Sequence[str] = ()) -> Layers:
    """Merge YAML `files` left to right, then apply overrides `a.b=value`, whose values are YAML too.

    Raises ConfigError, naming the file and line or the override, where one cannot be read or applied.
    """
    layers = Layers()
    for file in files:
        origins: Origins = {}
        with _within_reason(str(file)):
            layers.merge(_plain(_compose(file), partial(_line, file), (), origins), origins)
    for override in overrides:
        with _within_reason(f"override {override[:80]}"):
            _apply(layers, override)
    return layers


def read_yaml(file: Path) -> dict[str, Any]:
    """The plain data of one file. Raises ConfigError as `read_layers` does."""
    return read_layers([file]).data


@contextmanager
def _within_reason(where: str) -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise ConfigError(f"{where}: this is nested too deeply, or an alias (*name) holds itself") from None


def _compose(file: Path) -> yaml.MappingNode:
    if not file.is_file():
        raise ConfigError(f"cannot read {file}: there is no such file")
    try:
        text = read_text(file)
    except DataError as error:
        raise ConfigError(str(error)) from None
    try:
        node = yaml.compose(text, yaml12.Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{file}:{line}: the character U+{error.character:04X} may not stand in YAML") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: this is not YAML: {error.problem}") from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{file}: this must be a mapping of keys to values")
    return node


def _line(file: Path, node: yaml.Node) -> str:
    return f"{file}:{node.start_mark.line + 1}"


def _plain(node: yaml.Node, locate: Callable[[yaml.Node], str], path: KeyPath, origins: Origins) -> Any:
    """The plain data of a node at `path`; keys are text. Puts the origin of everything in it into `origins`."""
    if len(origins) > MOST_VALUES:
        raise ConfigError(f"{locate(node)}: there are more than {MOST_VALUES:,} values here, through aliases (*name)?")
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.value in mapping:
                problem = "appears twice in one mapping" if isinstance(key_node, yaml.ScalarNode) else "is not text"
                raise ConfigError(f"{locate(key_node)}: the key {key_node.value!r} {problem}")
            here = (*path, key_node.value)
            origins[here] = locate(key_node)
            mapping[key_node.value] = _plain(value, locate, here, origins)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        origins |= {(*path, i): locate(item) for i, item in enumerate(node.value)}
        return [_plain(item, locate, (*path, i), origins) for i, item in enumerate(node.value)]
    try:
        return yaml12.scalar(node)
    except ValueError as error:
        raise ConfigError(f"{locate(node)}: {error}") from None


def _apply(layers: Layers, override: str) -> None:
    """Set the value that `override` names, making mappings on the way to it."""
    dotted, equals, text = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise ConfigError(f"{override!r} is not an override: write key=value, for example seed=1 or optim.lr=3e-4")
    path: KeyPath = ()
    target: Any = layers.data
    *parents, last = dotted.split(".")
    for name in parents:
        key = _key(target, name, path, override)
        path = (*path, key)
        if isinstance(target, dict) and not isinstance(target.get(name), dict | list):
            layers.put(path, {}, {path: f"override {override}"})
        target = target[key]
    path = (*path, _key(target, last, path, override))
    origins: Origins = {path: f"override {override}"}
    layers.put(path, _plain(_compose_value(override, text), lambda _: f"override {override}", path, origins), origins)


def _key(target: Any, name: str, path: KeyPath, override: str) -> Key:
    """`name` as a key of a mapping, or as an index of a list that the recipe sets."""
    if isinstance(target, dict):
        return name
    if name.isdecimal() and int(name) < len(target):
        return int(name)
    raise ConfigError(
        f"override {override}: {dotted_name(path)} is a list of {len(target)}; "
        f"{name!r} must be an index from 0 to {len(target) - 1}, or give the whole list"
    )


def _compose_value(override: str, text: str) -> yaml.Node:
    try:
        node = yaml.compose(text, yaml12.Loader)
    except yaml.YAMLError:
        raise ConfigError(f"the value in {override!r} is not YAML; put quotes inside quotes: key='\"text\"'") from None
    return node or yaml.ScalarNode("tag:yaml.org,2002:null", "")


def dotted_name(path: KeyPath) -> str:
    """`a.0.b`, as overrides write it."""
    return ".".join(map(str, path))
