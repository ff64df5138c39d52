"""The data cache: `ESPALIER_CACHE`, or `~/.cache/espalier`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from espalier.core.errors import DataError

VARIABLE = "ESPALIER_CACHE"


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that fetched files lie in; it need not exist. Raises DataError where no home folder is known."""
    if named := environ.get(VARIABLE):
        return Path(named)
    try:
        return Path.home() / ".cache" / "espalier"
    except RuntimeError:
        raise DataError(f"no home folder is known: set {VARIABLE} to the folder that fetched files go to") from None
