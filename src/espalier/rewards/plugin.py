"""A reward of the user's own."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from espalier.core.plugins import PATTERN
from espalier.rewards.component import ComponentConfig


class PluginRewardConfig(ComponentConfig):
    """What `function(episode, **options)` returns, perhaps async. It has your rights: name only code you trust."""

    kind: Literal["plugin"] = "plugin"
    """The reward."""
    function: str = Field(pattern=PATTERN)
    """Where it is, as `package.module:callable`; modules in the working directory are found."""
    options: dict[str, Any] = Field(default={})
    """Its keyword arguments."""
