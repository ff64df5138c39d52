"""Finished episodes to judge."""

from espalier.core.messages import Message
from espalier.envs.api import Episode, Task


def episode(response: str, answer: str = "", *, reasoning: str = "", env: str = "sums", **fields: object) -> Episode:
    """One question, one response."""
    messages = [Message.user("?"), Message.assistant(response, reasoning)]
    return Episode(Task(env, "k1", {"answer": answer}), messages, **fields)  # type: ignore[arg-type]
