"""The ranks of a learner, as the process that leads them sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from espalier.rl.learner.ranks.commands import Command, Weights


class Crew(Protocol):
    """The ranks of a learner, wherever they run."""

    @property
    def size(self) -> int:
        """Their number."""
        ...

    async def call(self, command: Command, weights: Weights | None = None) -> Any:
        """Every rank does the command; the answer of rank 0. `weights` are for rank 0 alone."""
        ...

    async def close(self) -> None:
        """End the other ranks."""
        ...
