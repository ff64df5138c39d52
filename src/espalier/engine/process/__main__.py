"""`python -m espalier.engine.process FD`: an engine that talks over the inherited socket."""

from __future__ import annotations

import asyncio
import socket

from espalier.core.workers import begin_child
from espalier.engine.process.child import Child

if __name__ == "__main__":
    asyncio.run(Child().serve(socket.socket(fileno=begin_child())))
