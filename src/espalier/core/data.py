"""Where data sets lie: the option `--data-root`, then `ESPALIER_DATA`, then a developer's `../shared/data`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from espalier.core.errors import DataError
from espalier.core.recipe.beside import folders_of

CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class DataRoot:
    """A folder of data sets, or None where none is known: that is an error only once a file is asked for."""

    path: Path | None
    beside: tuple[Path, ...] = ()
    """Folders of the recipe, where `locate` looks first."""

    @staticmethod
    def find(
        option: Path | None = None, environ: Mapping[str, str] = os.environ, checkout: Path = CHECKOUT
    ) -> DataRoot:
        """The data root named by the option, the environment, or the place beside a developer's checkout."""
        if option is not None:
            return DataRoot(option)
        if named := environ.get("ESPALIER_DATA"):
            return DataRoot(Path(named))
        beside = checkout.parent / "shared" / "data"
        return DataRoot(beside if (checkout / "pyproject.toml").is_file() and beside.is_dir() else None)

    @property
    def hint(self) -> str:
        """The end of a message about a missing file: what to set where no root is known."""
        return "" if self.path else ". No data root is known: set ESPALIER_DATA or pass --data-root"

    def near(self, files: Iterable[Path]) -> DataRoot:
        """The same root, for a recipe of these files."""
        return replace(self, beside=folders_of(files))

    def locate(self, path: Path) -> Path:
        """The existing file or folder `path`: beside the recipe, else in the working directory, else below the root.

        Raises DataError that lists where it was looked for.
        """
        path = path.expanduser() if path.parts[:1] == ("~",) else path
        places = [*self.beside, Path.cwd(), *([self.path] if self.path else [])]
        tried = [path] if path.is_absolute() else list(dict.fromkeys(place / path for place in places))
        for place in tried:
            if place.exists():
                return place
        if path.is_absolute():
            raise DataError(f"there is no {path}")
        raise DataError(f"there is no {path}: looked for {', '.join(map(str, tried))}{self.hint}")

    def file(self, name: str) -> Path:
        """The existing file or folder `name`, a path relative to the root. Raises DataError saying what to set."""
        advice = "Set ESPALIER_DATA, or pass --data-root, to the folder that holds it."
        if self.path is None:
            raise DataError(f"no data root is known, so {name} cannot be found. {advice}")
        path = self.path / name
        if not path.exists():
            raise DataError(f"there is no {name} in the data root {self.path}. {advice}")
        return path
