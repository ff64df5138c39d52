"""Every reader of users' files in the package.

Left out, with reasons: settings of the gateway and other YAML files, which are read as recipes are; `checkpoints.json`
of a run, which only words of a message are taken from; scans, which are clouds and poses; further parts of Planetoid's
pickles, of TU sets and of stores, which are read as those here are; the state of a graph's trainer, whose every failure
is one RunError; bodies of HTTP requests and what models say, which tests of the servers and of chat markup mutate;
sources, pages and styles that ship with the package.
"""

from __future__ import annotations

from collections.abc import Sequence

from oracle import Reader

from readers import (
    checkpoints,
    clouds,
    edges,
    flights,
    gguf_models,
    graphs,
    maps,
    meshes,
    models,
    recipes,
    runs,
    sets,
    tables,
    tokens,
    traces,
)

_MODULES = (
    recipes,
    runs,
    edges,
    sets,
    graphs,
    models,
    gguf_models,
    tokens,
    checkpoints,
    traces,
    tables,
    flights,
    meshes,
    clouds,
    maps,
)
READERS: Sequence[Reader] = [reader for module in _MODULES for reader in module.READERS]
