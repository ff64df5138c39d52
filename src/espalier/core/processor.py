"""What the operating system says of the processor."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def cpuinfo(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo, such as `flags`; empty where the system does not say."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""
