"""Mutants in a child process, under a cap of memory and a deadline, so that nothing a reader does goes unseen.

python supervisor.py    reads `[reader, first seed, mutants]` from standard input, a line each, answers with results
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch._dynamo  # noqa: F401 (models import it when the first is built: once here, not in every child)
from oracle import Reader, Result, judge, mutant, plain, same

HEADROOM = 512 << 20
"""Bytes of address space beyond what reading the sound file takes."""
CPU_S, WALL_S = 10.0, 120.0
"""A mutant may take this; the second is for a machine with other work."""


def results(reader: Reader, first: int, count: int) -> Iterator[Result]:
    """Of the mutants `first` to `first + count`; a child that dies or hangs is one fault, and another goes on."""
    seed, end = first, first + count
    while seed < end:
        with tempfile.TemporaryDirectory() as folder:
            for found in _watched(reader, seed, end, Path(folder).resolve()):
                yield found
                seed += 1


def _watched(reader: Reader, seed: int, end: int, folder: Path) -> Iterator[Result]:
    """What a child tells, and a fault where it dies or hangs."""
    child, pipe = _fork(reader, seed, end, folder)
    begun, cpu, buffer, stopped = time.monotonic(), 0.0, b"", ""
    with os.fdopen(pipe, "rb", buffering=0) as stream:
        while True:
            if not select.select([stream], [], [], 0.5)[0]:
                spent = _cpu_s(child) - cpu
                if not stopped and (spent > CPU_S or time.monotonic() - begun > WALL_S):
                    stopped = f"hangs: no answer after {spent:.0f} s of work"
                    os.kill(child, signal.SIGKILL)
                continue
            part = stream.read(1 << 16)
            if not part:
                break
            *lines, buffer = (buffer + part).split(b"\n")
            for line in lines:
                yield Result(**json.loads(line))
                seed += 1
            begun, cpu = time.monotonic(), _cpu_s(child)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if seed < end:
        yield Result(seed, _name(reader, seed), "fault", stopped or f"the process ended with {status}")


def _fork(reader: Reader, first: int, end: int, folder: Path) -> tuple[int, int]:
    take, give = os.pipe()
    child = os.fork()
    if child:
        os.close(give)
        return child, take
    code = 1
    try:
        os.close(take)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        _work(reader, first, end, folder, give)
        code = 0
    finally:
        os._exit(code)


def _work(reader: Reader, first: int, end: int, folder: Path, give: int) -> None:
    try:
        file = reader.make(folder)
        content, records = file.read_bytes(), plain(reader.read(file))
        expected = records if reader.reference is None else plain(reader.reference(file))
        fault = "" if same(records, expected) else f"the sound file: {records!r:.200} | {expected!r:.200}"
    except Exception as error:
        fault = f"the sound file: {error!r}"
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + HEADROOM, size + HEADROOM))
    for seed in range(first, end):
        found = Result(seed, "none", "fault", fault) if fault else judge(reader, file, content, records, seed)
        os.write(give, json.dumps(asdict(found)).encode() + b"\n")


def _name(reader: Reader, seed: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        kind, change, *_ = mutant(reader, reader.make(Path(folder).resolve()).read_bytes(), seed)
    return f"{kind}: {change}"


def _cpu_s(child: int) -> float:
    try:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve() -> None:
    """Answer requests, see above, until standard input ends."""
    from readers import READERS

    named = {reader.name: reader for reader in READERS}
    for line in sys.stdin:
        name, first, count = json.loads(line)
        found = [asdict(result) for result in results(named[name], first, count)]
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    serve()
