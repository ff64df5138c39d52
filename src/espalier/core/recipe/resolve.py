"""The typed side of a recipe: the job it names, the job's config, and every value with its origin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.core.job import Job
from espalier.core.recipe.beside import context_of, folders_of
from espalier.core.recipe.explain import explain
from espalier.core.recipe.layers import KeyPath, Layers, Selector, dotted_name, no_variants, read_layers
from espalier.core.recipe.variants import Variants, bases
from espalier.core.tracking.sinks import Tracker


class RunConfig(Config):
    """The keys of a recipe that belong to the run; all others are the job's."""

    job: str
    """What to run: `<domain>.<name>`, as `espalier list` shows them."""
    name: str = Field(pattern=r"^\w[\w.-]*$")
    """Folder of the runs; the recipe's file name where not set."""
    seed: int = 0
    """Every random stream of the run derives from it."""
    trackers: tuple[Tracker, ...] = ()
    """Where metrics go besides the run folder."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe that has been checked. `layers` knows where each value was set."""

    run: RunConfig
    job: Job
    config: Config
    layers: Layers

    @property
    def resolved(self) -> dict[str, Any]:
        """Every value, defaults included, as plain data that reads back to the same recipe."""
        return self.run.model_dump(mode="json") | self.config.model_dump(mode="json")

    def values(self) -> Iterator[tuple[str, Any, str]]:
        """Dotted key, value and origin of each value: `file:line`, the override, `default` or the variant it is of.

        Where a value differs from what its section's variant says, as in a row of the algorithm table, the origin says
        so.
        """
        variants = [(path, name, dict(leaves(path, base))) for path, name, base in bases(self.config)]
        for path, value in leaves((), self.resolved):
            origin = self.layers.origin(path) or "default"
            for _, name, base in variants:
                if path in base and base[path] != value:
                    origin += f" ({name} has {json.dumps(base[path])})"
                elif path in base and origin == "default":
                    origin = f"default of {name}"
            yield dotted_name(path), value, origin


def load_recipe(files: Sequence[Path], overrides: Sequence[str], find_job: Callable[[str], Job]) -> Recipe:
    """Read a recipe from `files` and `overrides`; `find_job` returns the job of a name.

    Raises ConfigError that names each bad key, where it was set and what was probably meant.
    """

    def read(selector: Selector) -> Layers:
        return read_layers(files, overrides, selector)

    return resolve(read, find_job, folders=folders_of(files), name=files[-1].stem, where=str(files[-1]))


def resolve(
    read: Callable[[Selector], Layers],
    find_job: Callable[[str], Job],
    *,
    folders: Sequence[Path],
    name: str,
    where: str,
) -> Recipe:
    """The recipe of the layers that `read` returns, given what knows the sections with variants.

    folders: where files that it names are looked for first. name: the run's, where the layers set none. where: what an
    error about all of it names. Raises ConfigError.
    """
    layers = read(no_variants)
    if not isinstance(layers.data.get("job"), str):
        raise ConfigError(f"{where}: a recipe names its job, for example `job: rl.train`; `espalier list` shows them")
    try:
        job = find_job(layers.data["job"])
    except ConfigError as error:
        raise ConfigError(f"{layers.origins[('job',)]}: {error}") from None
    layers = read(Variants((job.config, RunConfig)).selector)
    layers.data.setdefault("name", name)
    own = {key: value for key, value in layers.data.items() if key in RunConfig.model_fields}
    rest = {key: value for key, value in layers.data.items() if key not in RunConfig.model_fields}
    context = context_of(folders)
    run, problems = _check(RunConfig, own, job, layers, context)
    config, more = _check(job.config, rest, job, layers, context)
    if run is None or config is None:
        raise ConfigError("\n".join([*problems, *more]))
    return Recipe(run, job, config, layers)


C = TypeVar("C", bound=Config)


def load_settings(model: type[C], files: Sequence[Path], overrides: Sequence[str] = ()) -> C:
    """A config of `model` from YAML files that are no recipes of a job, and overrides.

    Raises ConfigError that names each bad key, where it was set and what was probably meant.
    """
    layers = read_layers(files, overrides, Variants((model,)).selector)
    try:
        return model.model_validate(layers.data, context=context_of(folders_of(files)))
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error, (model,), layers))) from None


def schema(job: Job) -> dict[str, Any]:
    """JSON schema of the recipes of `job`, for editors."""
    merged = job.config.model_json_schema()
    run = RunConfig.model_json_schema()
    merged["title"] = f"recipe of the job {job.name}"
    merged["properties"] = run["properties"] | merged.get("properties", {})
    merged["required"] = ["job", *merged.get("required", [])]
    return merged


def _check(
    model: type[C], data: dict[str, Any], job: Job, layers: Layers, context: Mapping[str, Any]
) -> tuple[C | None, list[str]]:
    try:
        return model.model_validate(data, context=context), []
    except ValidationError as error:
        return None, explain(error, (job.config, RunConfig), layers)


def leaves(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    """The paths and values of plain data; a list without mappings or lists in it is one value."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict) and value:
        items = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items = enumerate(value)
    else:
        yield path, value
    for key, inner in items:
        yield from leaves((*path, key), inner)
