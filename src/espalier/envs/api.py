"""Tasks, environments and finished episodes.

A `TaskSet` is an endless, seeded list of tasks in two disjoint splits. An `Env` plays one episode of one task: it gives
messages, the policy answers with one message, until done. Whatever verifies the answer without a model lives here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, Protocol, runtime_checkable

from espalier.core.messages import Message, ToolSpec

Split = Literal["train", "heldout"]


@dataclass(frozen=True, slots=True)
class Task:
    """One problem. `key` is stable across runs (a hash of the canonical instance); `data` is plain JSON data."""

    env: str
    key: str
    data: Mapping[str, Any]
    split: Split = "train"

    @property
    def answer(self) -> str:
        """The reference answer, or an empty string where the environment verifies by other means."""
        return str(self.data.get("answer", ""))

    @property
    def source(self) -> str:
        """Where the user wrote the task, as `file:line`; empty where it was drawn."""
        return str(self.data.get("source", ""))

    @property
    def info(self) -> Mapping[str, Any]:
        """All columns of the row that the task was made of; empty where it was drawn."""
        row: Mapping[str, Any] = self.data.get("row", {})
        return row


@dataclass(frozen=True, slots=True)
class Step:
    """What an environment answers to one action.

    `reward` is None where the environment does not judge this step itself (a rubric does). `info` holds figures that
    are logged as `env/<name>/<key>`.
    """

    messages: tuple[Message, ...] = ()
    reward: float | None = None
    done: bool = True
    info: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Episode:
    """A finished conversation, as rewards see it.

    `finish` is how the policy's last turn ended ("stop", "length" or "abort"); `unfinished` says that a limit ended the
    conversation before the environment did; `env_reward` is the sum of the step rewards, None if there was none;
    `tokens` counts the sampled tokens.
    """

    task: Task
    messages: list[Message]
    finish: str = "stop"
    turns: int = 1
    tokens: int = 0
    unfinished: bool = False
    env_reward: float | None = None
    info: dict[str, float] = field(default_factory=dict)

    @property
    def response(self) -> str:
        """The visible text of the last assistant message."""
        return next((m.content for m in reversed(self.messages) if m.role == "assistant"), "")


class Env(Protocol):
    """One episode of one task. Errors it raises are recorded as data; they never stop a run."""

    name: str

    def tools(self) -> list[ToolSpec]:
        """Tools offered to the model; empty for none."""
        ...

    async def reset(self, task: Task) -> list[Message]:
        """Start the episode: the opening messages."""
        ...

    async def step(self, action: Message) -> Step:
        """Answer one assistant message."""
        ...

    async def close(self) -> None:
        """Free what the episode held."""
        ...


@runtime_checkable
class TaskSet(Protocol):
    """An indexed, seeded source of tasks and the environment that plays them, told from others by its `name`."""

    name: str

    def task(self, split: Split, index: int) -> Task:
        """Task `index` of `split`: a pure function of the set's config, seed, split and index."""
        ...

    def env(self, task: Task) -> Env:
        """A new environment for one episode of `task`."""
        ...

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """Tools that the environment of `task` offers; empty for none."""
        ...

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """A full conversation, opening messages included, that solves the task (perhaps with slips, as configured).

        Raises EnvError where the set has no oracle.
        """
        ...


@runtime_checkable
class Guessable(Protocol):
    """A task set that knows its guess rate. No task set has to: see `guess_rate`."""

    @property
    def guess_rate(self) -> float:
        """Probability, 0 to 1, that a guess is right: an answer of the right form, drawn without solving the task."""
        ...


def guess_rate(tasks: TaskSet) -> float:
    """Probability, 0 to 1, that a guess at one of the tasks is right; 0.0 where the set does not say.

    It is the accuracy at which a policy has learned the form of the answers and nothing else.
    """
    return tasks.guess_rate if isinstance(tasks, Guessable) else 0.0
