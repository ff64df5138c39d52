"""`python -m espalier.envs.workers FD`: a worker that talks over the inherited file descriptor."""

from __future__ import annotations

import asyncio

from espalier.core.workers import begin_child
from espalier.envs.workers.child import main

if __name__ == "__main__":
    asyncio.run(main(begin_child()))
