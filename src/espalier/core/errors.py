"""Errors that a user can act on. Each message says what was wrong, where, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class EspalierError(Exception):
    """Root of all errors raised on purpose. The CLI prints its message without a traceback."""


class ConfigError(EspalierError, ValueError):
    """A recipe, an override or a config field is wrong. Raised in a validator, it gets the recipe's file and line."""


class DataError(EspalierError):
    """A record or file of data is wrong; the message names the file and line."""


class RunError(EspalierError):
    """A run folder cannot be used as asked: it is missing, finished, or in use by another process."""


class NoCheckpointError(RunError):
    """All checkpoints of a run are broken or gone."""


class MissingExtraError(EspalierError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs the package {package!r}: pip install 'espalier[{extra}]'")


class EngineError(EspalierError):
    """An engine refused or lost a request. `retryable` says whether the same call may succeed later."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class EngineLostError(EngineError):
    """The engine is gone: its process ended, or it does not answer. Another engine can serve the same call."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)


class EnvError(EspalierError):
    """An environment failed. The episode is recorded as failed with this message; the run goes on."""


class NoDemonstrationsError(EnvError):
    """A task set cannot show how its tasks are solved, so that a model cannot be warmed up on it."""


def nearest(wrong: str, good: Iterable[str]) -> str:
    """The end of a message about a wrong name: `; did you mean 'X'?`, or what there is to choose from."""
    options = sorted(good)
    close = get_close_matches(wrong, options, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(options)}" if options else ""
