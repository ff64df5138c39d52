"""One conversation between an environment and the policy, as token ids.

Invariant: sampled tokens are stored in the trajectory exactly as sampled; they are never encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from espalier.core.messages import Message, ToolSpec
from espalier.engine.api import Completion, Engine, Finish, Sampling
from espalier.lm.chat import Renderer
from espalier.rl.rollout.forcing import Forcing
from espalier.rl.trajectory import POLICY, Trajectory


class Session:
    """Owns `row` and one session of the engine. `sampling.max_tokens` is the budget of the whole conversation.

    `crowded` becomes true when the engine's longest sequence leaves the conversation less than its budget.
    `forcing` makes it answer. `keep`: what the engine stores of the session stays when it is closed.
    """

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        row: Trajectory,
        sampling: Sampling,
        *,
        name: str = "",
        keep: bool = False,
        forcing: Forcing | None = None,
    ) -> None:
        self.row = row
        self._engine = engine
        self._renderer = renderer
        self._sampling = sampling
        self._tools: Sequence[ToolSpec] = ()
        self.crowded = False
        self.prefilled: int | None = None
        """Tokens whose KV was computed for its first request."""
        self._name = name
        self._keep = keep
        self._forcing = forcing

    @property
    def budget(self) -> int:
        """Tokens that the policy may still sample: the rest of the conversation's budget, limited by the engine's
        room.
        """
        return min(self._sampling.max_tokens - self.row.sampled, self._room)

    @property
    def _room(self) -> int:
        return self._engine.max_len - len(self.row.tokens)

    def open(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> bool:
        """Start with the environment's opening messages; `tools` are offered to the policy.

        Returns whether there is room for an answer.
        """
        self._tools = tools
        self.row.observe(self._renderer.opening(messages, tools), "prompt")
        return self._has_room()

    def go_on(self, tools: Sequence[ToolSpec] = ()) -> bool:
        """Start in the middle of a conversation: `row` has its tokens. Returns whether there is room to go on."""
        self._tools = tools
        return self._has_room()

    def observe(self, messages: Sequence[Message]) -> bool:
        """Append the environment's answer to the last turn. Returns whether there is room to continue.

        An answer that leaves no room for another token is not appended.
        """
        ids = self._renderer.following(messages, self.row.tokens[-1])
        if len(ids) >= self._room:
            self.crowded = True
            return False
        self.row.observe(ids, messages[-1].role)
        return self._has_room()

    def _has_room(self) -> bool:
        self.crowded |= self._room < self._sampling.max_tokens - self.row.sampled
        return self.budget > 0

    async def act(self) -> tuple[Message, Finish]:
        """Sample the assistant's next turn, or the rest of one. Returns it parsed, and its finish reason."""
        last = self.row.turns[-1]
        start = last.start if last.role == POLICY else last.end
        finish = await self._sample_until(self._forcing.answer if self._forcing else 0)
        if self._forcing and finish == "length":
            if not self._forcing.answered(self.row.tokens[start:]):
                self._force(self._forcing.ids)
            finish = await self._sample_until(0)
        turn = self.row.tokens[start:]
        return self._renderer.parse(turn, self._tools), finish

    def _force(self, ids: Sequence[int]) -> None:
        """Cut the thought, unless there is no room for an answer."""
        if len(ids) < self._room:
            self.row.insert(ids)
            self.row.info["forced"] = True

    async def _sample_until(self, left: int) -> Finish:
        """Sample until the turn ends, or the budget is down to `left`."""
        while self.budget > left:
            done = await self._sample(self.budget - left)
            if done.finish != "abort":  # else new weights came: go on from what was sampled
                return done.finish
        return "length"

    async def _sample(self, most: int) -> Completion:
        sampling = replace(self._sampling, max_tokens=most)
        done = await self._engine.generate(self.row.tokens, sampling, session=self._name)
        self.row.sample(done.tokens, done.logprobs, done.versions)
        if self.prefilled is None:
            self.prefilled = done.prefilled
        return done

    async def close(self) -> None:
        """Free what the engine stores for the conversation, unless it is kept."""
        if self._name and not self._keep:
            await self._engine.release(self._name)
