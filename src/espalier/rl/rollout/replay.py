"""An attempt that goes on from the middle of another: its row begins with the other's tokens, and a new environment is
brought to the same place by the other's actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from espalier.core.messages import Message, Role
from espalier.rl.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Fork:
    """Begin as `row` does, up to the token `at`, which the policy sampled there. messages: its conversation."""

    row: Trajectory
    messages: Sequence[Message]
    at: int

    def begin(self, member: int) -> Trajectory:
        """The new row, which trains the tokens that it shares."""
        return self.row.fork(self.at, member, trained=True)

    @property
    def sampled(self) -> int:
        """Tokens before `at` that the policy sampled."""
        return sum(self.row.mask[: self.at])

    @property
    def opening(self) -> list[Message]:
        """The messages before the first action."""
        return list(_heard(self.messages))

    def exchanges(self) -> Iterator[tuple[Message, list[Message]]]:
        """The actions that end before `at`, each with the answer of the environment."""
        rest = self.messages[len(self.opening) :]
        for turn in self.row.turns:
            if turn.role == "assistant" and turn.end <= self.at:
                answer = list(_heard(rest[1:]))
                yield rest[0], answer
                rest = rest[1 + len(answer) :]


def _heard(messages: Iterable[Message]) -> Iterator[Message]:
    """Those before the next action."""
    return takewhile(lambda message: message.role != Role.ASSISTANT, messages)
