"""A regular expression that a response must contain, or be."""

from __future__ import annotations

import asyncio
import re
from typing import Literal

from pydantic import PositiveFloat, field_validator

from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig


class RegexConfig(ComponentConfig):
    """1 where `pattern` is found in the response."""

    kind: Literal["regex"] = "regex"
    """The reward."""
    pattern: str
    """The regular expression, in Python's syntax."""
    whole: bool = False
    """The whole response must match."""
    seconds: PositiveFloat = 1.0
    """Longest search; a response that takes longer has not matched."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return pattern


class Regex:
    """The reward, on the `regex` library: `re` cannot stop a search that backtracks without end."""

    def __init__(self, config: RegexConfig) -> None:
        import regex

        compiled = regex.compile(config.pattern)
        self._match = compiled.fullmatch if config.whole else compiled.search
        self._seconds = config.seconds

    async def __call__(self, episode: Episode) -> float:
        """1.0 or 0.0. The search goes on in a thread, without the interpreter's lock."""
        return await asyncio.to_thread(self._found, episode.response)

    def _found(self, response: str) -> float:
        try:
            return float(self._match(response, timeout=self._seconds, concurrent=True) is not None)
        except TimeoutError:
            return 0.0
