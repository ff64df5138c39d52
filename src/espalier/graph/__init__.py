"""Graph encoders: data, operators, self-supervised methods and how they are judged.

from espalier import graph

data = graph.load("Cora")
encoder = graph.pretrain(data, "graphmae", epochs=200, lr=1e-3, weight_decay=2e-4, schedule="cosine")
z = encoder.embed(data)
print(graph.probe(z, data))
encoder.save("encoder")
"""

from typing import Any

_PUBLIC = ("Encoder", "Graph", "load", "load_encoder", "load_method", "pretrain", "probe")


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: recipes are read without torch."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from espalier.graph import api

    return getattr(api, name)
