"""Where data sets lie: the option `--data-root`, then `ESPALIER_DATA`, then a developer's `../shared/data`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from espalier.core.errors import DataError

CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class DataRoot:
    """A folder of data sets, or None where none is known: that is an error only once a file is asked for."""

    path: Path | None

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

    def file(self, name: str) -> Path:
        """The existing file or folder `name`, a path relative to the root. Raises DataError saying what to set."""
        advice = "Set ESPALIER_DATA, or pass --data-root, to the folder that holds it."
        if self.path is None:
            raise DataError(f"no data root is known, so {name} cannot be found. {advice}")
        path = self.path / name
        if not path.exists():
            raise DataError(f"there is no {name} in the data root {self.path}. {advice}")
        return path
