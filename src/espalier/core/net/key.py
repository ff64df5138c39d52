"""API keys of servers. A setting names an environment variable, so that no key is in a recipe or in a run folder."""

from __future__ import annotations

import os
import re

from espalier.core.errors import ConfigError

VISIBLE = re.compile(r"[!-~]+")


def read_key(variable: str, setting: str) -> str:
    """The key in the environment variable that `setting` names; empty if it names none.

    Raises ConfigError if the variable is not set, or contains what a header cannot.
    """
    if not variable:
        return ""
    key = os.environ.get(variable, "")
    if not key:
        raise ConfigError(
            f"{setting}: the environment variable {variable} is not set: put the API key of the servers into it, or "
            f"leave {setting} out if they ask for none"
        )
    if not VISIBLE.fullmatch(key):
        raise ConfigError(f"{setting}: the key in {variable} must consist of visible ASCII characters")
    return key
