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
    """Begin as `row` does, up to the token `at`, which the policy sampled there.

    messages: its conversation. surprisal: why it was chosen, in nats.
    """

    row: Trajectory
    messages: Sequence[Message]
    at: int
    surprisal: float = 0.0

    def begin(self, member: int) -> Trajectory:
        """The new row, which trains the tokens that it shares."""
        row = self.row.fork(self.at, member, trained=True)
        row.info["surprisal"] = self.surprisal
        if "forced" in row.info and not self._behind_insertion:
            del row.info["forced"]
        return row

    @property
    def _behind_insertion(self) -> bool:
        """Whether tokens that the policy did not sample stand in one of its turns before `at`."""
        return any(not all(self.row.mask[turn.start : min(turn.end, self.at)]) for turn in self.row.policy_turns)

    @property
    def opening(self) -> list[Message]:
        """The messages before the first action."""
        return list(_heard(self.messages))

    def exchanges(self) -> Iterator[tuple[Message, list[Message]]]:
        """The actions that end before `at`, each with the answer of the environment."""
        rest = self.messages[len(self.opening) :]
        for turn in self.row.policy_turns:
            if turn.end <= self.at:
                answer = list(_heard(rest[1:]))
                yield rest[0], answer
                rest = rest[1 + len(answer) :]


def _heard(messages: Iterable[Message]) -> Iterator[Message]:
    """Those before the next action."""
    return takewhile(lambda message: message.role != Role.ASSISTANT, messages)
