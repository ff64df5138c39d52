"""Code of the user's own, named in a recipe as `package.module:callable`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from espalier.core.errors import ConfigError

PATTERN = r"^[\w.]+:[\w.]+$"
"""What such a name looks like."""


def imported(where: str) -> Callable[..., Any]:
    """The callable at `where`; modules in the working directory are found. Raises ConfigError where it is not there.

    It runs with the rights of this process: import only what you trust.
    """
    module_name, _, name = where.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{where}: {error}; is the module installed, or in {here}?") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{where}: {module_name} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"{where} is {type(found).__name__}, which cannot be called")
    result: Callable[..., Any] = found
    return result
