"""The model card of a saved encoder: description, scores and how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def card(content: Mapping[str, Any], parameters: int) -> str:
    """The card as Markdown. content: the encoder's `config.json`."""
    recipe, width = content["recipe"], f"{content['n_features']:,}"
    scaling = {"none": "as they are", "row": "divided by the sum of their row", "standard": "standardised by column"}
    held = ", less the links held out" if recipe["evaluate"]["kind"] == "links" else ""
    lines = [
        f"# {recipe['method']['name']} encoder",
        "",
        f"Made by Espalier {content['espalier']}: {parameters:,} parameters, {width} input features,",
        f"{scaling[content['scaling']]}. Trained on {content['data']}, seed {content['seed']}.",
    ]
    if content["figures"]:
        lines += ["", "| figure | value |", "| --- | --- |"]
        lines += [f"| {name} | {value:.4f} |" for name, value in content["figures"].items()]
    data = f"data = encoder.load_data()  # {content['data']} as in training{held}\n" if content["source"] else ""
    another = f"or of any other graph with {width} features" if content["source"] else f"a Graph with {width} features"
    return "\n".join(
        [
            *lines,
            "",
            "```python",
            "from espalier import graph",
            "",
            'encoder = graph.load_encoder("this/folder")',
            f"{data}z = encoder.embed(data)  # {another}, such as graph.load(...)",
            "```",
            "",
            "The encoder scales features as in training, and cuts the same contexts. Settings: `config.json`.",
            "",
        ]
    )
