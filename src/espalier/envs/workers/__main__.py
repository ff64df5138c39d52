"""`python -m espalier.envs.workers FD`: a worker that talks over the inherited file descriptor."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from espalier.core.workers import die_with_parent
from espalier.envs.workers.child import main

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()  # also where a call holds the interpreter
    os.dup2(2, 1)  # what libraries print is no answer
    asyncio.run(main(int(sys.argv[1])))
