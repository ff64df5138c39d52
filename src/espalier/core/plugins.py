"""Code of the user's own, named in a recipe as `package.module:callable`."""

from __future__ import annotations

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from espalier.core.errors import ConfigError

PATTERN = r"^[\w.]+:[\w.]+$"
"""What such a name looks like."""
_OURS = str(Path(__file__).resolve().parents[1])
_LIBRARY = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib"))
_INSTALLED = ("site-packages", "dist-packages")


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
    except (Exception, SystemExit) as error:
        place = culprit(error) or module_name
        raise ConfigError(f"{where}: importing it raised {type(error).__name__}: {error} ({place})") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{where}: {module_name} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"{where} is {type(found).__name__}, which cannot be called")
    result: Callable[..., Any] = found
    return result


def culprit(error: BaseException) -> str:
    """Where in the user's code an exception was raised, as `file:line`; empty where none of it is in the traceback.

    The innermost frame that is neither espalier's nor the standard library's; a file that is not installed as a
    package goes before one that is.
    """
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    theirs = [(file, line) for file, line in places if not _known(file)]
    own = [(file, line) for file, line in theirs if not any(part in _INSTALLED for part in Path(file).parts)]
    return "{}:{}".format(*(own or theirs)[-1]) if theirs else ""


def _known(file: str) -> bool:
    if file.startswith("<"):
        return True
    path = str(Path(file).resolve())
    installed = any(part in _INSTALLED for part in Path(path).parts)
    return path.startswith(_OURS) or (path.startswith(_LIBRARY) and not installed)
