"""The row type of reinforcement learning: a flat token sequence with aligned per-token lists.

Single turns, conversations with tools, branches of a tree and demonstrations are all rows. Tensors appear only after
packing. Sampled ids are never re-encoded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

Stream = Literal["rl", "ce", "ref"]
"""The loss streams of a token: policy gradient, cross entropy, KL to the reference."""


POLICY = "assistant"
"""The role of the policy's turns."""


class Status(StrEnum):
    """The state of a trajectory. TRUNCATED: ended by a limit; ABORTED: by the engine; FAILED: by an error."""

    OPEN = "open"
    DONE = "done"
    TRUNCATED = "truncated"
    ABORTED = "aborted"
    FAILED = "failed"


@dataclass(slots=True)
class Turn:
    """Tokens `start:end` are from `role`. `seconds` is its duration.

    `reward` is the environment's for this turn; in a scored row it is multiplied by its weight in the rubric.
    """

    start: int
    end: int
    role: str
    reward: float | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class Trajectory:
    """One row.

    task, key: environment name and stable task id. group, member: comparison group and index within it.
    tokens: the whole sequence, prompt included. mask: sampled by the policy and trainable.
    logprobs: log-prob under the distribution that was sampled, 0.0 where not sampled.
    versions: policy version per token, -1 where not sampled.
    rewards: component name -> weighted value; reward: their sum, None before scoring.
    advantages: per token, set by credit assignment (or by a tree search). weights: per-token weight of each stream; an
    absent one has weight 1 on masked tokens for "rl" and "ref", and 0 for "ce".
    origin: (member of the row it was forked from, token offset); None where it was not forked. Members differ within a
    group, so the whole line of forks is known (`Unit.ancestors`).
    """

    task: str
    key: str
    group: int = 0
    member: int = 0
    tokens: list[int] = field(default_factory=list)
    mask: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    rewards: dict[str, float] = field(default_factory=dict)
    reward: float | None = None
    advantages: list[float] | None = None
    weights: dict[Stream, list[float]] | None = None
    origin: tuple[int, int] | None = None
    status: Status = Status.OPEN
    error: str | None = None
    info: dict[str, Any] = field(default_factory=dict)

    def observe(self, ids: Sequence[int], role: str = "user") -> None:
        """Append context tokens: prompt, observation, tool result."""
        self._begin(role)
        self._unsampled(ids)

    def sample(self, ids: Sequence[int], logprobs: Sequence[float], versions: Sequence[int]) -> None:
        """Append tokens that the policy sampled."""
        if not len(ids) == len(logprobs) == len(versions):
            raise ValueError(
                f"{len(ids)} ids, {len(logprobs)} logprobs and {len(versions)} versions must be equally many"
            )
        self._speak()
        self.turns[-1].end += len(ids)
        self.tokens += ids
        self.mask += [True] * len(ids)
        self.logprobs += logprobs
        self.versions += versions

    def insert(self, ids: Sequence[int]) -> None:
        """Append tokens to the policy's turn that it did not sample."""
        self._speak()
        self._unsampled(ids)

    def _unsampled(self, ids: Sequence[int]) -> None:
        self.tokens += ids
        self.mask += [False] * len(ids)
        self.logprobs += [0.0] * len(ids)
        self.versions += [-1] * len(ids)
        self.turns[-1].end += len(ids)

    def _speak(self) -> None:
        """The policy's turn goes on, or begins."""
        if not self.turns or self.turns[-1].role != POLICY:
            self._begin(POLICY)

    def _begin(self, role: str) -> None:
        self.turns.append(Turn(len(self.tokens), len(self.tokens), role))

    @property
    def policy_turns(self) -> list[Turn]:
        """The turns that the policy sampled."""
        return [turn for turn in self.turns if turn.role == POLICY]

    def fork(self, at: int, member: int, *, trained: bool = False) -> Trajectory:
        """A new open row, `member` of the same group, that shares the tokens `:at`. In the new row they are context, or
        with `trained` trained there as well; this row keeps training them.
        """
        if not 0 < at <= len(self.tokens):
            raise ValueError(f"cannot fork at {at}: the row has {len(self.tokens)} tokens")
        if member == self.member:
            raise ValueError(f"a fork of member {member} needs its own number")
        child = Trajectory(self.task, self.key, self.group, member, info=dict(self.info))
        child.tokens, child.versions, child.logprobs = (
            self.tokens[:at],
            self.versions[:at],
            self.logprobs[:at],
        )
        child.mask = self.mask[:at] if trained else [False] * at
        child.turns = [
            Turn(t.start, min(t.end, at), t.role, t.reward if t.end <= at else None, t.seconds)
            for t in self.turns
            if t.start < at
        ]
        child.origin = (self.member, at)
        return child

    def is_right(self, above: float) -> bool:
        """Whether the verdict of its rewards is larger than `above`. The row must have been scored."""
        return bool(self.info["verdict"] > above)

    def lag(self, trained_from: int) -> int:
        """Number of versions between the weights being trained and the oldest sampled token; 0 if nothing was
        sampled.
        """
        return trained_from - min((v for v in self.versions if v >= 0), default=trained_from)

    @property
    def sampled(self) -> int:
        """Number of trainable tokens."""
        return sum(self.mask)

    @property
    def own(self) -> int:
        """Number of trainable tokens that are not shared with the row it was forked from."""
        return sum(self.mask[self.origin[1] :]) if self.origin else self.sampled

    def check(self) -> None:
        """Raise ValueError if the aligned lists disagree, a number is not finite or the mask is invalid."""
        n = len(self.tokens)
        aligned: dict[str, Sequence[float]] = {"mask": self.mask, "logprobs": self.logprobs, "versions": self.versions}
        if self.advantages is not None:
            aligned["advantages"] = self.advantages
        aligned |= {f"weights[{name}]": stream for name, stream in (self.weights or {}).items()}
        for name, values in aligned.items():
            if len(values) != n:
                raise ValueError(f"row {self.key}: {name} has {len(values)} entries for {n} tokens")
            if not all(map(math.isfinite, values)):
                raise ValueError(f"row {self.key}: {name} holds a value that is not finite")
        if self.mask and self.mask[0]:
            raise ValueError(f"row {self.key}: the first token has no context and cannot be trained")
        if self.reward is not None and not math.isfinite(self.reward):
            raise ValueError(f"row {self.key}: reward {self.reward} is not finite")

    def to_json(self) -> dict[str, Any]:
        """Plain data, for JSON lines."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Trajectory:
        """The inverse of `to_json`."""
        row = Trajectory(**data)
        row.status = Status(row.status)
        row.turns = [Turn(**t) for t in data["turns"]]
        row.origin = tuple(data["origin"]) if data["origin"] else None
        return row


Group = list[Trajectory]
"""Rows of one task that are compared with each other."""
