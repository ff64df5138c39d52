"""A clean clone, and working directories that hold what a command needs."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from collected import REPOSITORY
from plans import RL, Piece, Plan

from espalier.core.data import DataRoot
from espalier.core.fetch.cache import cache_root

LONGEST_S, SLOW_S = 60.0, 300.0
"""Of a command on a busy machine; a quiet one needs a third of it."""
LINKED = ("src", "docs", "benchmarks")
"""Folders of the clone."""


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port


def copied(source: Path, target: Path) -> None:
    """What lies in a working directory, without the clone's folders."""
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=lambda at, names: LINKED if Path(at) == source else ())


class Workplace:
    """Runs commands on a copy of the sources, with a HOME of its own, and without a data root unless it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clone = folder, folder / "clone"
        for name in LINKED:
            leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(REPOSITORY / name, self.clone / name, ignore=leave)
        programs = folder / "bin"
        programs.mkdir()
        (folder / "home").mkdir()
        self._program(programs / "python", f'exec "{sys.executable}" "$@"')
        self._program(programs / "torchrun", f'exec "{sys.executable}" -m torch.distributed.run "$@"')
        self._program(programs / "espalier", f'exec "{sys.executable}" -P -m espalier "$@"')
        self._made: dict[Piece, Path] = {}
        self._count = 0

    def _program(self, file: Path, line: str) -> None:
        file.write_text(f"#!/bin/sh\n{line}\n")
        file.chmod(0o755)

    def environment(self, data: Path | None = None) -> dict[str, str]:
        """Nothing of the user's but the path of system programs."""
        own = {
            "PATH": f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(self.clone / "src"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "160",
            "LC_ALL": "C.UTF-8",
        }
        return own | ({"ESPALIER_DATA": str(data)} if data else {})

    def empty(self) -> Path:
        """A new working directory, with the clone's folders in it."""
        self._count += 1
        place = self.folder / f"work{self._count}"
        place.mkdir()
        for name in LINKED:
            (place / name).symlink_to(self.clone / name)
        return place

    def place(self, plan: Plan) -> tuple[Path, dict[str, str]]:
        """A working directory with what `plan` is given, and what to add to the environment."""
        place = self.empty()
        for piece in plan.given:
            if piece == "model":
                return place, {"ESPALIER_CACHE": str(cache_root())}
            copied(self.piece(piece), place)
        return place, {}

    def piece(self, piece: Piece) -> Path:
        """The folder that holds it, made once."""
        if piece not in self._made:
            place = self.empty()
            _MAKERS[piece](self, place)
            self._made[piece] = place
        return self._made[piece]

    def run(
        self, command: str, place: Path, environment: Mapping[str, str], seconds: float = LONGEST_S
    ) -> subprocess.CompletedProcess[str]:
        """The command in a shell; output and errors together in `stdout`."""
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=place,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )

    def must(self, command: str, place: Path) -> None:
        """The same, which must succeed."""
        done = self.run(command, place, self.environment())
        assert done.returncode == 0, f"{command}\n{done.stdout}"


@contextmanager
def serving(command: str, place: Path, environment: Mapping[str, str], said: str) -> Iterator[None]:
    """A server that has said `said`; it is ended by a signal, and must end well."""
    log = place / f"server{time.monotonic_ns()}.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=place,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + LONGEST_S
        while said not in log.read_text():
            assert server.poll() is None, f"{command} ended\n{log.read_text()}"
            assert time.monotonic() < end, f"{command} did not say {said!r}\n{log.read_text()}"
            time.sleep(0.1)
        yield
        server.send_signal(signal.SIGINT)
        code = server.wait(LONGEST_S)
        assert code in (0, 130), f"{command} ended with {code}\n{log.read_text()}"
    finally:
        server.kill()
        server.wait()


def with_time(command: str, place: Path) -> str:
    """TIME replaced by the time of the newest run of the name before it."""

    def found(match: re.Match[str]) -> str:
        return max(path.name for path in (place / match[1]).iterdir())

    return re.sub(r"(?<=\s)(runs/\w+)/TIME", lambda match: f"{match[1]}/{found(match)}", command)


def data_root() -> Path | None:
    """The data root of whoever runs the tests."""
    return DataRoot.find().path


def _runs(workplace: Workplace, place: Path) -> None:
    for name in ("quickstart", "faster"):
        workplace.must(f"espalier run rl/quickstart name={name} {RL} checkpoint.every=1", place)


def _stopped(workplace: Workplace, place: Path) -> None:
    """A run as a signal between its last checkpoint and its end leaves it."""
    copied(workplace.piece("runs"), place)
    (run,) = (place / "runs" / "quickstart").iterdir()
    (run / "result.json").unlink()
    state = json.loads((run / "state.json").read_text())
    (run / "state.json").write_text(json.dumps(state | {"status": "interrupted"}))


def _flight(workplace: Workplace, place: Path) -> None:
    workplace.must("espalier run robots/light_show n=4 seconds=0.3 acts=[] failures=[]", place)


def _scans(workplace: Workplace, place: Path) -> None:
    """Two scans of flat ground, from two places."""
    side = np.arange(-2.0, 2.0, 0.05)
    x, y = (one.ravel() for one in np.meshgrid(side, side))
    (place / "scans").mkdir()
    for k in range(2):
        np.save(place / "scans" / f"{k}.npy", np.stack([x, y, np.full_like(x, -0.6)], axis=-1))
    (place / "poses.txt").write_text("0 0 0 0.6 0 0 0 1\n1 0.5 0 0.6 0 0 0 1\n")


def _map(workplace: Workplace, place: Path) -> None:
    side = np.arange(-6.0, 6.0, 0.05)
    x, y = (one.ravel() for one in np.meshgrid(side, side))
    np.save(place / "forest.npy", np.stack([x, y, 0.1 * np.sin(x)], axis=-1))
    workplace.must("espalier terrain map forest.npy --cell 0.2 --out forest.tif", place)


def _edges(workplace: Workplace, place: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    source, target = rng.integers(50, size=(2, 200))
    pq.write_table(pa.table({"source": source, "target": target}), place / "edges.parquet")
    np.save(place / "features.npy", rng.standard_normal((50, 4), dtype=np.float32))
    np.save(place / "labels.npy", rng.integers(3, size=50))


def _requests(workplace: Workplace, place: Path) -> None:
    rows = [{"arrival_s": 0.1 * k, "prompt_tokens": 100 + 10 * k, "output_tokens": 5} for k in range(100)]
    (place / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _gateway(workplace: Workplace, place: Path) -> None:
    """The file as the page shows it."""
    page = (REPOSITORY / "docs" / "serving" / "gateway.md").read_text(encoding="utf-8")
    (shown,) = (text for text in re.findall(r"```yaml[^\n]*\n(.*?)```", page, re.S) if "admin_port" in text)
    (place / "gateway.yaml").write_text(shown)


def _brief(workplace: Workplace, place: Path) -> None:
    workplace.must("espalier new reward brief", place)


def _boxes(workplace: Workplace, place: Path) -> None:
    workplace.must("espalier new env boxes", place)


_MAKERS: Mapping[Piece, Callable[[Workplace, Path], None]] = {
    "runs": _runs,
    "stopped": _stopped,
    "flight": _flight,
    "scans": _scans,
    "map": _map,
    "edges": _edges,
    "requests": _requests,
    "gateway": _gateway,
    "boxes": _boxes,
    "brief": _brief,
}
