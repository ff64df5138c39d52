"""Every reader of users' files in the package.

Left out, with reasons: what the package's own jobs write for their own resumption and read by `core.text.read_json`,
which is here; bodies of HTTP requests, which tests of the servers mutate; the text of models, which the tests
of chat markup mutate; C sources, pages and styles that ship with the package; `torch.load` of a graph trainer's state,
whose every failure is one RunError; LoRA's and heads' weights beside those here go through the same calls.
"""

from __future__ import annotations

from collections.abc import Sequence

import readers_clouds
import readers_core
import readers_graph
import readers_graph_binary
import readers_lm
import readers_maps
import readers_serving
import readers_swarm
from oracle import Reader

READERS: Sequence[Reader] = (
    *readers_core.READERS,
    *readers_graph.READERS,
    *readers_graph_binary.READERS,
    *readers_lm.READERS,
    *readers_serving.READERS,
    *readers_swarm.READERS,
    *readers_clouds.READERS,
    *readers_maps.READERS,
)
