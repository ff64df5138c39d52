"""Every reader of users' files in the package.

Left out, with reasons: settings of the gateway and other YAML files, which are read as recipes are; what jobs write for
their own resumption, which is read by `core.text.read_object` as `environment.json` is; scans, which are clouds and
poses; further parts of Planetoid's pickles, of TU sets and of stores, which are read as those here are; the state of a
graph's trainer, whose every failure is one RunError; bodies of HTTP requests and what models say, which tests of the
servers and of chat markup mutate; sources, pages and styles that ship with the package.
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
