"""`python -m espalier.envs.workers FD`: a worker that talks over the inherited file descriptor."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys

from espalier.envs.workers.child import main

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # a call that holds the interpreter must not outlive a killed parent
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.dup2(2, 1)  # what libraries print is no answer
    asyncio.run(main(int(sys.argv[1])))
