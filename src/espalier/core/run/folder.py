"""Run folders on disk: made whole, locked by one process, found again."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import ConfigDict, TypeAdapter

from espalier.core.errors import ConfigError, DataError, RunError
from espalier.core.io import files
from espalier.core.io.text import read_text
from espalier.core.io.typed import read_typed
from espalier.core.recipe import yaml12
from espalier.core.recipe.layers import read_yaml
from espalier.core.run.environment import environment

END = "...\n"
"""The last line of a config, YAML's own mark of a document's end: a file that was cut short lacks it."""

Status = Literal["running", "interrupted", "failed", "finished"]


@dataclass(frozen=True, slots=True)
class State:
    """How a run stands. `seconds` is its age over all its sessions, `error` why it failed."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    status: Status
    seconds: float = 0.0
    error: str = ""


_STATE = TypeAdapter(State)


def make_folder(root: Path, name: str, config: Mapping[str, Any]) -> tuple[Path, IO[str]]:
    """A new folder `ROOT/NAME/TIME` that holds `config` and the environment, and its lock, already taken."""
    parent = root / name
    parent.mkdir(parents=True, exist_ok=True)
    files.sweep(parent)
    with files.temporary(parent / "run", folder=True) as temp:
        (temp / "config.yaml").write_text(yaml12.dump(config) + END)
        (temp / "environment.json").write_text(json.dumps(environment(), indent=2))
        (temp / "metrics.jsonl").touch()
        (temp / "checkpoints").mkdir()
        (temp / "artefacts").mkdir()
        write_state(temp, State("running"))
        lock = take_lock(temp)
        files.sync_tree(temp)
        path = _rename_unique(temp, parent / datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
        files.sync(parent)
    return path, lock


def _rename_unique(temp: Path, wanted: Path) -> Path:
    for attempt in itertools.count(1):
        path = wanted if attempt == 1 else wanted.with_name(f"{wanted.name}_{attempt}")
        try:
            return temp.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    raise AssertionError("unreachable")


def open_folder(path: Path) -> tuple[dict[str, Any], IO[str]]:
    """The config of an existing run folder, and its lock. Clears away what a killed process left half-written.

    Raises RunError where the config was cut short: what it lacks would become a default.
    """
    config = read_config(path)
    if not read_text(path / "config.yaml").rstrip().endswith(END.rstrip()):
        raise RunError(f"{path / 'config.yaml'} is cut short: its last line must be `{END.rstrip()}`")
    lock = take_lock(path)
    for folder in (path, path / "checkpoints", path / "artefacts"):
        files.sweep(folder)
    return config, lock


def read_config(path: Path) -> dict[str, Any]:
    """The resolved recipe of a run folder. Raises RunError where there is none, or it is broken."""
    file = path / "config.yaml"
    if not file.is_file():
        raise RunError(f"{path} is not a run folder: it has no config.yaml. Runs lie in runs/NAME/TIME.")
    try:
        config = read_yaml(file)
    except ConfigError as error:
        raise RunError(f"{file} is broken: {error}") from None
    if not config.keys() >= {"job", "name", "seed"}:
        raise RunError(f"{file} is broken: it lacks job, name or seed")
    return config


def take_lock(path: Path) -> IO[str]:
    """Hold the run folder until the returned file is closed. Raises RunError where that cannot be, as where another
    process holds it.
    """
    lock = _open_lock(path, "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise RunError(f"{path} is in use by another process ({owner}). Stop it first, or start a new run.") from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()}")
    lock.flush()
    return lock


def _open_lock(path: Path, mode: str) -> IO[str]:
    try:
        return (path / ".lock").open(mode)
    except OSError as error:
        raise RunError(f"cannot lock {path}: {path / '.lock'}: {error.strerror}") from None


def is_locked(path: Path) -> bool:
    """Whether a process holds the run folder now."""
    with _open_lock(path, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def write_state(path: Path, state: State) -> None:
    """Record how the run stands."""
    files.write_json(path / "state.json", asdict(state))


def read_state(path: Path) -> State:
    """What `write_state` recorded. Without the file, a run that has a result is finished, any other interrupted.

    Raises RunError where the file is broken.
    """
    file = path / "state.json"
    if not file.exists():
        return State("finished" if (path / "result.json").exists() else "interrupted")
    try:
        return read_typed(file, _STATE)
    except DataError as error:
        raise RunError(
            f"{file} is broken ({error}). It says only how the run stands: delete it, and the run can be resumed"
        ) from None


def standing(path: Path, state: State) -> str:
    """The status of a run now: the recorded one, or `killed` where its process ended without recording one."""
    return "killed" if state.status == "running" and not is_locked(path) else state.status


def newest_unfinished(root: Path, name: str) -> Path | None:
    """The latest run of `name` that has not finished, or None."""
    folders = sorted(p.parent for p in (root / name).glob("[!.]*/config.yaml"))
    return next((p for p in reversed(folders) if read_state(p).status != "finished"), None)
