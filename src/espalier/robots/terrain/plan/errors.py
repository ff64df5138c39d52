"""What can be wrong with a plan that was asked for."""

from espalier.core.errors import EspalierError


class PlanError(EspalierError):
    """A start or a goal cannot be used, or the map lacks a layer; the message says which, where and what to do."""


class NoRouteError(PlanError):
    """No route joins start and goal. connected: whether they lie in one free region, so that only the search, its
    turning radius or its limit stood in the way.
    """

    def __init__(self, message: str, *, connected: bool) -> None:
        super().__init__(message)
        self.connected = connected
