"""`python -m espalier.engine.process FD`: an engine that talks over the inherited socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

from espalier.core.workers import die_with_parent
from espalier.engine.process.child import Child

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    die_with_parent()
    os.dup2(2, 1)  # what libraries print is no answer
    asyncio.run(Child().serve(socket.socket(fileno=int(sys.argv[1]))))
