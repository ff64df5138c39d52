"""Code of the user's own, named in a recipe as `./file.py:callable` or `package.module:callable`."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from espalier.core.errors import ConfigError, nearest
from espalier.core.io.text import read_text

PATTERN = r"^(?:[\w.]+|.+\.py):[\w.]+$"
"""What such a name looks like."""
MOST_NAMES = 40
"""Names of a module that an error suggests from at most."""
_OURS = str(Path(__file__).resolve().parents[1])
_LIBRARY = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib"))
_INSTALLED = ("site-packages", "dist-packages")


def imported(where: str) -> Callable[..., Any]:
    """The callable at `where`, in a file or a module; modules in the working directory are found.

    Raises ConfigError where it is not there. It runs with the rights of this process: import only what you trust.
    """
    module_name, _, name = where.rpartition(":")
    load = _file if module_name.endswith(".py") else _module
    try:
        found: Any = load(module_name)
    except ImportError as error:
        raise ConfigError(f"{where}: {error}; is the module installed, or in {Path.cwd()}?") from error
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        place = culprit(error) or module_name
        raise ConfigError(f"{where}: importing it raised {type(error).__name__}: {error} ({place})") from error
    for part in name.split("."):
        if not hasattr(found, part):
            names = [known for known in dir(found) if not known.startswith("_")]
            good = nearest(name, names) if len(names) <= MOST_NAMES else ""
            raise ConfigError(f"{where}: {module_name} has no {name}{good}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"{where} is {type(found).__name__}, which cannot be called")
    result: Callable[..., Any] = found
    return result


def _module(name: str) -> ModuleType:
    _add_to_path(Path.cwd())
    return importlib.import_module(name)


def _file(name: str) -> ModuleType:
    """The module of a file, under a name that no other module has; modules beside the file are found."""
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"there is no {name} beside the recipe or in the working directory {Path.cwd()}")
    unique = f"{path.stem}_{hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()}"
    if unique in sys.modules:
        return sys.modules[unique]
    _add_to_path(path.parent)
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported")
    module = sys.modules[unique] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


def _add_to_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


class Parameter(NamedTuple):
    """A parameter of a function, and whether it has no default."""

    name: str
    required: bool


@cache
def parameters(where: str) -> tuple[Parameter, ...]:
    """The parameters of the function at `where`, read from its file without running it.

    Raises ConfigError where there is no file, or no `def` of that name at its top level.
    """
    module, _, name = where.rpartition(":")
    path = Path(module).expanduser() if module.endswith(".py") else _source(module)
    if path is None or not path.is_file():
        raise ConfigError(f"{where}: there is no {module} beside the recipe or in the working directory {Path.cwd()}")
    try:
        tree = ast.parse(read_text(path), str(path))
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}") from None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if name not in functions:
        raise ConfigError(f"{where}: {path} has no function {name!r}{nearest(name, list(functions))}")
    given = functions[name].args
    plain = [*given.posonlyargs, *given.args]
    optional = [False] * (len(plain) - len(given.defaults)) + [True] * len(given.defaults)
    optional += [default is not None for default in given.kw_defaults]
    return tuple(Parameter(arg.arg, not o) for arg, o in zip([*plain, *given.kwonlyargs], optional, strict=True))


def _source(module: str) -> Path | None:
    _add_to_path(Path.cwd())
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin else None


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
