"""The HTML report of a run folder: one file that opens anywhere, offline, made from the folder's files alone."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from espalier.core.io.files import write_atomic
from espalier.core.report.content import content, embed

_STYLES = ("style.css", "charts.css", "samples.css", "tree.css", "facts.css")
_SCRIPTS = (
    "tools.js",
    "chart.js",
    "blocks.js",
    "explorer.js",
    "tree.js",
    "samples.js",
    "beside.js",
    "facts.js",
    "live.js",
    "page.js",
)


def build(path: Path) -> Path:
    """Write `report.html` of the run folder `path`, finished or not, and return it."""
    target = path / "report.html"
    write_atomic(target, page(content(path)))
    return target


def page(shown: dict[str, Any], *, poll: str = "") -> str:
    """The page that shows `shown`. With `poll`, a path on its own server, it asks there for news of itself."""
    source = resources.files(__package__)
    html = source.joinpath("page.html").read_text("utf-8")
    parts = {
        "/*connections*/": "connect-src 'self'; " if poll else "",
        "/*style*/": "".join(source.joinpath(name).read_text("utf-8") for name in _STYLES),
        "/*script*/": "\n".join(source.joinpath(name).read_text("utf-8") for name in _SCRIPTS),
        "/*data*/": embed(shown),
        "/*poll*/": embed(poll),
    }
    for mark, text in parts.items():
        before, _, after = html.partition(mark)
        html = before + text + after
    return html
