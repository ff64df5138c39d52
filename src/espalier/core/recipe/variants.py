"""Sections that come in variants: a named algorithm, a kind of tokenizer. One key of the section, its selector, says
which variant it is, and gives meaning to the other keys.

A later layer that names another variant gets that variant: what earlier layers set beside the former name is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from espalier.core.config import Config
from espalier.core.recipe.explain import models_in
from espalier.core.recipe.layers import KeyPath


class Variants:
    """The selectors in the sections of `roots`, whose fields together are the keys of a recipe."""

    def __init__(self, roots: Sequence[type[BaseModel]]) -> None:
        self._roots = roots

    def selector(self, path: KeyPath) -> tuple[str, Any] | None:
        """The selector of the section at `path` and its default; None where the section has no variants."""
        models = list(self._roots)
        for key in path:
            if isinstance(key, str):
                fields = [model.model_fields[key] for model in models if key in model.model_fields]
                models = [inner for field in fields for inner in models_in(field.annotation)]
        names = {name for model in models if (name := _own_selector(model)) is not None} or _tags(models)
        if len(names) != 1 or not models:
            return None
        (name,) = names
        return name, models[0].model_fields[name].default if len(models) == 1 else None


def _own_selector(model: type[BaseModel]) -> str | None:
    return model.selector if issubclass(model, Config) else None


def _tags(models: Sequence[type[BaseModel]]) -> set[str]:
    """Keys that tell the members of a union apart: each member holds one literal value of it."""
    if len(models) < 2:
        return set()
    shared = set.intersection(*(set(model.model_fields) for model in models))
    return {name for name in shared if all(_is_tag(model.model_fields[name].annotation) for model in models)}


def _is_tag(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def bases(config: Config) -> Iterator[tuple[KeyPath, str, Mapping[str, Any]]]:
    """Each section of `config` with a selector: its path, the variant's name, and the plain values of the variant."""
    for path, section in _sections((), config):
        if section.selector is not None:
            name = getattr(section, section.selector)
            yield path, str(name), type(section)(**{section.selector: name}).model_dump(mode="json")


def _sections(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, Config]]:
    if isinstance(value, Config):
        yield path, value
        children: Iterable[tuple[str | int, Any]] = value
    else:
        children = enumerate(value) if isinstance(value, tuple | list) else ()
    for key, child in children:
        yield from _sections((*path, key), child)
