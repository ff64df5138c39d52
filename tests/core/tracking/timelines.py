"""Reading timelines in Chrome's format."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any


def events(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def check(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The spans by the name of their lane; they are of the format, not negative, and nested within each lane."""
    names = {event["tid"]: event["args"]["name"] for event in found if event["name"] == "thread_name"}
    assert len(set(names.values())) == len(names)
    lanes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in found:
        assert event["ph"] in ("X", "M")
        assert event["pid"] == 1
        if event["ph"] == "X":
            assert isinstance(event["ts"], int)
            assert isinstance(event["dur"], int)
            assert min(event["ts"], event["dur"]) >= 0
            lanes[names[event["tid"]]].append(event)
    for inside in lanes.values():
        for one in inside:
            for other in inside:
                (a, b), (c, d) = ((e["ts"], e["ts"] + e["dur"]) for e in (one, other))
                assert b <= c or d <= a or (a <= c and d <= b) or (c <= a and b <= d), "spans cross"
    return lanes
