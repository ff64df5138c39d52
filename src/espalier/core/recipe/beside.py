"""Files that a recipe names: they are looked for beside the recipe first.

`load_recipe` validates with the folders of the recipe's files as context. What is found there becomes an absolute path,
so that a run can be resumed from anywhere. What is not stays as it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

from espalier.core.plugins import PATTERN

_KEY = "folders"


def context_of(folders: Sequence[Path]) -> Mapping[str, Any]:
    """The context in which a recipe is validated, the files of which are in `folders`."""
    return {_KEY: tuple(folders)}


def folders_of(files: Iterable[Path]) -> tuple[Path, ...]:
    """The folders of the files, the last file's first, each once."""
    return tuple(dict.fromkeys(file.absolute().parent for file in reversed(list(files))))


def _path(path: Path, info: ValidationInfo) -> Path:
    if path.is_absolute() or path.parts[:1] == ("~",):
        return path
    return next((folder / path for folder in _folders(info) if (folder / path).exists()), path)


def _plugin(name: str, info: ValidationInfo) -> str:
    module, _, rest = name.rpartition(":")
    file = Path(module) if module.endswith(".py") else Path(f"{module}.py")
    found = _path(file, info)
    return name if found == file else f"{found}:{rest}"


def _given(folders: tuple[Path, ...], info: ValidationInfo) -> tuple[Path, ...]:
    return folders or tuple(_folders(info))


def _folders(info: ValidationInfo) -> Sequence[Path]:
    return info.context.get(_KEY, ()) if isinstance(info.context, dict) else ()


RecipePath = Annotated[Path, AfterValidator(_path)]
"""A file or folder: beside the recipe where there is one, else as it is written."""
RecipeFolders = Annotated[tuple[Path, ...], Field(validate_default=True), AfterValidator(_given)]
"""Folders; those of the recipe's own files unless given. A resumed run has them from its config."""
PluginName = Annotated[str, Field(pattern=PATTERN), AfterValidator(_plugin)]
"""Code of the user's own, `./file.py:callable` (also `file:callable`) or `package.module:callable`."""
