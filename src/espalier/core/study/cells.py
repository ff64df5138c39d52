"""The cells of a study: arms x seeds, each a checked recipe, known by the hash of its resolved config."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.core.io.files import checksum
from espalier.core.job import Job
from espalier.core.recipe.beside import folders_of
from espalier.core.recipe.layers import KeyPath, Layers, Selector, read_layers
from espalier.core.recipe.resolve import Recipe, resolve
from espalier.core.study.config import WARM_ARM, WARM_START, StudyConfig

DIGITS = 16
"""Of the hash, in the names of folders."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a study. digest: SHA-256 of what it computes. needs: the warm start that must be there before."""

    arm: str
    seed: int
    recipe: Recipe
    digest: str
    needs: Cell | None = None

    @property
    def name(self) -> str:
        """Of its run folder; the end says what it computes."""
        arm = re.sub(r"[^\w.-]", "_", self.arm)
        return f"{arm}-{self.seed}-{self.digest[:DIGITS]}"

    @property
    def is_warm(self) -> bool:
        """Whether it is a warm start."""
        return self.arm == WARM_ARM

    def plain(self, warm: Path | None) -> dict[str, Any]:
        """The recipe to run: `{warm_start}` replaced by the folder `warm`."""
        return {**_replaced(self.recipe.resolved, str(warm)), "name": self.name}


@dataclass(frozen=True, slots=True)
class House:
    """What a study is told of the rooms above: jobs by name, recipes by file or name, and the command line's program,
    the words to which `run RECIPE` and `resume RUN` are added.
    """

    job: Callable[[str], Job]
    recipe: Callable[[str], Path]
    program: tuple[str, ...]


def cells_of(config: StudyConfig, first: int, house: House) -> list[Cell]:
    """All cells, seed by seed, each seed's warm start before the arms. first: the first seed.

    Raises ConfigError, naming the arm and key, where one of the recipes is wrong.
    """
    found: list[Cell] = []
    for seed in range(first, first + config.seeds):
        warm = None
        if config.warm_start is not None:
            recipe = _resolve([("warm_start", config.warm_start)], None, config.folders, seed, house)
            warm = Cell(WARM_ARM, seed, recipe, digest(recipe, None))
            found.append(warm)
        for arm in config.running:
            parts = [("base", config.base), (f"arms.{arm}", config.arms[arm])]
            recipe = _resolve(parts, config.recipe, config.folders, seed, house)
            asks = WARM_START in json.dumps(recipe.resolved)
            if asks and warm is None:
                raise ConfigError(f"arms.{arm}: {WARM_START} stands for a warm start, and the study has none")
            needs = warm if asks else None
            found.append(Cell(arm, seed, recipe, digest(recipe, needs), needs))
    return found


def digest(recipe: Recipe, needs: Cell | None) -> str:
    """SHA-256 of the resolved config, without the run's name and trackers, and of the warm start's digest.

    A field of a section's `later` counts only where it differs from its default. A file counts by its content, wherever
    it lies.
    """
    own = _known(recipe.config, recipe.config.model_dump(mode="json"))
    text = json.dumps([recipe.run.job, recipe.run.seed, own, needs and needs.digest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _known(section: Any, plain: Any) -> Any:
    """`plain`, the dump of `section`, with the content of files, and without fields of `later` at their defaults."""
    if isinstance(section, Path) and section.is_file():
        return checksum(section)
    if isinstance(section, str):
        file, _, name = section.rpartition(":")
        if file.endswith(".py") and Path(file).is_file():
            return f"{checksum(Path(file))}:{name}"
    if isinstance(section, Config):
        fields = type(section).model_fields
        defaults = {name: fields[name].get_default(call_default_factory=True) for name in section.later}
        kept = [name for name in fields if name not in defaults or getattr(section, name) != defaults[name]]
        return {name: _known(getattr(section, name), plain[name]) for name in kept}
    if isinstance(section, Mapping):
        return {key: _known(value, plain[str(key)]) for key, value in section.items()}
    if isinstance(section, tuple | list):
        return [_known(value, inner) for value, inner in zip(section, plain, strict=True)]
    return plain


def _resolve(
    parts: Sequence[tuple[str, Mapping[str, Any]]], base: str | None, folders: Sequence[Path], seed: int, house: House
) -> Recipe:
    """A recipe of mappings, later ones laid over earlier ones, perhaps over a file's. Files that it names are looked
    for in the `folders` of the study, then beside the file.
    """
    files = [house.recipe(base)] if base else []

    def read(selector: Selector) -> Layers:
        layers = read_layers(files, (), selector)
        for where, values in parts:
            layers.merge(deepcopy(dict(values)), dict(_origins(where, values, ())))
        layers.put(("seed",), seed, {("seed",): "the study's seeds"})
        return layers

    places = [*folders, *folders_of(files)]
    return resolve(read, house.job, folders=places, name="cell", where=parts[0][0])


def _origins(where: str, value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Where each value stands in the study's recipe."""
    items: Any = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key), where
        yield from _origins(where, inner, (*path, key))


def _replaced(value: Any, warm: str) -> Any:
    match value:
        case str():
            return value.replace(WARM_START, warm)
        case dict():
            return {key: _replaced(inner, warm) for key, inner in value.items()}
        case list():
            return [_replaced(inner, warm) for inner in value]
    return value
