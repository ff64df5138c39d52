"""The raw side of a recipe: files merged left to right, then overrides, each value with the place it came from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from espalier.core.errors import ConfigError, DataError
from espalier.core.io.text import read_text
from espalier.core.recipe import yaml12

Key = str | int
KeyPath = tuple[Key, ...]
"""Where a value stands: mapping keys and list indices from the root."""

Origins = dict[KeyPath, str]
"""Where each value was set: `file:line`, or the override."""

MOST_VALUES = 100_000
"""In a file. Aliases of aliases would make any number of a few lines."""

Selector = Callable[[KeyPath], tuple[str, Any] | None]
"""The key that names the variant of the section at a path, and its default; None where there are no variants."""


def no_variants(path: KeyPath) -> tuple[str, Any] | None:
    """A selector for which no section has variants."""
    return None


@dataclass(slots=True)
class Layers:
    """Plain data, and where each key of it was set: `file:line`, or the override.

    `selector` knows the sections with variants: a layer that names another variant replaces what the layers before it
    set there. `dropped` holds a line for each such replacement.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    selector: Selector = no_variants
    dropped: list[str] = field(default_factory=list)

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
                self.choose(here, value, origins)
                self.origins[here] = origins[here]
                self.merge(value, origins, here)
            else:
                self.put(here, value, origins)

    def choose(self, path: KeyPath, value: Mapping[str, Any], origins: Origins) -> None:
        """Empty the section at `path` where `value`, of a later layer, names another variant than it has."""
        selector, target = self.selector(path), self.at(path)
        if selector is None:
            return
        name, default = selector
        former = target.get(name, default)
        if name not in value or former == value[name]:
            return
        kept = [
            f"{key}={json.dumps(target[key], default=str)} ({self.origins[(*path, key)]})"
            for key in target
            if key != name
        ]
        if kept:
            self.dropped.append(
                f"{origins[(*path, name)]}: {dotted_name((*path, name))} is {value[name]} now, "
                f"so what was set for {former} is dropped: {', '.join(kept)}"
            )
        self.put(path, {}, {path: self.origins[path]})

    def put(self, path: KeyPath, value: Any, origins: Origins) -> None:
        """Replace the value at `path`, and the origins of everything in it by those in `origins`."""
        self.at(path[:-1])[path[-1]] = value
        kept = {p: where for p, where in self.origins.items() if p[: len(path)] != path}
        self.origins = kept | {p: where for p, where in origins.items() if p[: len(path)] == path}


def read_layers(files: Sequence[Path], overrides: Sequence[str] = (), selector: Selector = no_variants) -> Layers:
    """Merge YAML `files` left to right, then apply overrides `a.b=value`, whose values are YAML too.

    All overrides together are one layer. A mapping as a value merges, as in a file. Raises ConfigError, naming the file
    and line or the override, where one cannot be read or applied.
    """
    layers = Layers(selector=selector)
    for file in files:
        origins: Origins = {}
        with _within_reason(str(file)):
            layers.merge(_plain(_compose(file), partial(_line, file), (), origins), origins)
    read: list[_Override] = []
    for text in overrides:
        with _within_reason(f"override {text[:80]}"):
            read += (parts := list(_read_override(text)))
            for part in parts:
                _choose(layers, part)
    for override in read:
        with _within_reason(override.origin[:90]):
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


@dataclass(frozen=True, slots=True)
class _Override:
    """`names` lead to the key that gets `node`; `text` is what was typed."""

    text: str
    names: list[str]
    node: yaml.Node

    @property
    def origin(self) -> str:
        return f"override {self.text}"


def _read_override(text: str) -> Iterator[_Override]:
    """One for each value; a mapping holds several."""
    dotted, equals, value = text.partition("=")
    names = dotted.split(".")
    if not equals or not all(names):
        raise ConfigError(f"{text!r} is not an override: write key=value, for example seed=1 or optim.lr=3e-4")
    node = _compose_value(text, value)
    _plain(node, lambda _: f"override {text}", (), {})
    yield from _leaves(text, names, node)


def _leaves(text: str, names: list[str], node: yaml.Node) -> Iterator[_Override]:
    if isinstance(node, yaml.MappingNode) and node.value:
        for key, value in node.value:
            yield from _leaves(text, [*names, key.value], value)
    else:
        yield _Override(text, names, node)


def _choose(layers: Layers, override: _Override) -> None:
    """Where `override` names another variant of a section that files have set, begin that section anew."""
    path: KeyPath = ()
    target: Any = layers.data
    *parents, last = override.names
    for name in parents:
        if isinstance(target, dict) and isinstance(target.get(name), dict | list):
            path = (*path, name)
        elif isinstance(target, list) and name.isdecimal() and int(name) < len(target):
            path = (*path, int(name))
        else:
            return
        target = layers.at(path)
    if isinstance(target, dict):
        origins: Origins = {(*path, last): override.origin}
        layers.choose(path, {last: _plain(override.node, lambda _: override.origin, (*path, last), origins)}, origins)


def _apply(layers: Layers, override: _Override) -> None:
    """Set the value that `override` names, making mappings on the way to it."""
    path: KeyPath = ()
    target: Any = layers.data
    *parents, last = override.names
    for name in parents:
        key = _key(target, name, path, override)
        path = (*path, key)
        if isinstance(target, dict) and not isinstance(target.get(name), dict | list):
            layers.put(path, {}, {path: override.origin})
        target = target[key]
    key = _key(target, last, path, override)
    path = (*path, key)
    if isinstance(override.node, yaml.MappingNode) and _holds_mapping(target, key):
        return  # an empty mapping has nothing to set
    origins: Origins = {path: override.origin}
    layers.put(path, _plain(override.node, lambda _: override.origin, path, origins), origins)


def _holds_mapping(target: Any, key: Key) -> bool:
    inside = target.get(key) if isinstance(target, dict) else target[key]
    return isinstance(inside, dict)


def _key(target: Any, name: str, path: KeyPath, override: _Override) -> Key:
    """`name` as a key of a mapping, or as an index of a list that the recipe sets."""
    if isinstance(target, dict):
        return name
    if name.isdecimal() and int(name) < len(target):
        return int(name)
    raise ConfigError(
        f"{override.origin}: {dotted_name(path)} is a list of {len(target)}; "
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
