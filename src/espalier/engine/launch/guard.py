"""Runs a command, and ends it with everything that it started once standard input is closed.

Standard input is a pipe from the process that wants the command. When that process ends, however it ends, the pipe is
closed. Imports nothing of this package, so that it starts at once: `python guard.py COMMAND...`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 10.0
"""Seconds between asking and forcing."""


def main(words: list[str]) -> int:
    """Returns the command's exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever holds the pipe
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, process_group=0)
    threading.Thread(target=_watch, args=(process,), daemon=True).start()
    try:
        return process.wait()
    finally:
        _signal(process.pid, signal.SIGKILL)


def _watch(process: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1024):  # not through sys.stdin, which would be locked when the interpreter ends
        pass
    _signal(process.pid, signal.SIGTERM)
    until = time.monotonic() + GRACE
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    _signal(process.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
