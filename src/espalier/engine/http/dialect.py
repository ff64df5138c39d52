"""The dialect protocol: how one kind of server says what an engine does. Nothing else knows which server it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from espalier.core.net.http import HttpClient
from espalier.engine.api import Capabilities, Completion, EngineStats, Sampling
from espalier.engine.updates import WeightUpdate


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a server: its client, the name of the model there, the version of its weights and a deadline.

    run: marks what this client leaves there, so that another run on the same server cannot take it for its own.
    oldest: the version with which the oldest request under way began.
    """

    client: HttpClient
    model: str
    version: int
    seconds: float
    run: str = ""
    oldest: int = 0


class Dialect(Protocol):
    """Translates engine calls to one server's HTTP interface. Without state of its own.

    Raises what `HttpClient` does, and EngineError for what the server answers wrongly. A KeyError, IndexError,
    TypeError or ValueError says that an answer is not of the form expected.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What an engine behind this dialect supports."""
        ...

    async def describe(self, client: HttpClient, *, seconds: float) -> tuple[str, int]:
        """The name of the served model, and its longest sequence in tokens."""
        ...

    async def generate(self, call: Call, prompt: Sequence[int], sampling: Sampling, request: str) -> Completion:
        """One completion. `request` names it. `seconds` of the completion are not filled in."""
        ...

    async def score(self, call: Call, tokens: Sequence[int]) -> list[float]:
        """See `Engine.score`."""
        ...

    async def pause(self, call: Call, mode: Literal["abort", "keep"]) -> None:
        """See `Engine.pause`. Requests that arrive later wait."""
        ...

    async def resume(self, call: Call) -> None:
        """See `Engine.resume`."""
        ...

    async def load(self, call: Call, update: WeightUpdate) -> str:
        """Load new weights, and label them. Returns the name of the model that has them from now on."""
        ...

    async def stats(self, call: Call) -> EngineStats | None:
        """Counters and queue lengths; None where the server only shows that it is alive."""
        ...
