"""The channel protocol: turns the learner's tensors into an update that an engine can load."""

from __future__ import annotations

from typing import Protocol

from espalier.engine.api import UpdateKind
from espalier.engine.updates import TensorUpdate, WeightUpdate


class Channel(Protocol):
    """One way for weights to reach an engine. Who publishes decides when; the channel decides how.

    kind: of the updates that it makes.
    """

    kind: UpdateKind

    def send(self, update: TensorUpdate) -> WeightUpdate:
        """The same weights in a form that an engine elsewhere can load, which stays valid until the next but one call.

        Raises EngineError where there is no room for them.
        """
        ...

    def close(self) -> None:
        """Free what the updates occupy."""
        ...


class Direct:
    """For an engine in this process: the tensors themselves. The engine shares or copies them (`engine.weights`)."""

    kind: UpdateKind = "tensors"

    def send(self, update: TensorUpdate) -> WeightUpdate:
        """See `Channel`."""
        return update

    def close(self) -> None:
        """Nothing to free."""
