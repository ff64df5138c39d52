"""One conversation between an environment and the policy, token in, token out.

Invariant: what the policy sampled stands in the trajectory exactly as sampled; it is never encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from espalier.core.messages import Message, ToolSpec
from espalier.engine.api import Completion, Engine, Finish, Sampling
from espalier.lm.chat import Renderer
from espalier.rl.trajectory import Trajectory


class Session:
    """Owns `row` and one session of the engine. `sampling.max_tokens` is the budget of the whole conversation."""

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        row: Trajectory,
        sampling: Sampling,
        *,
        name: str = "",
    ) -> None:
        self.row = row
        self._engine = engine
        self._renderer = renderer
        self._sampling = sampling
        self._tools: Sequence[ToolSpec] = ()
        self._name = name

    @property
    def budget(self) -> int:
        """Tokens the policy may still sample."""
        return self._sampling.max_tokens - self.row.sampled

    def open(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None:
        """Start with the environment's opening messages; `tools` are offered to the policy."""
        self._tools = tools
        self.row.observe(self._renderer.opening(messages, tools), "prompt")

    def observe(self, messages: Sequence[Message]) -> None:
        """Append the environment's answer to the last turn."""
        self.row.observe(self._renderer.following(messages, self.row.tokens[-1]), messages[-1].role)

    async def act(self) -> tuple[Message, Finish]:
        """Sample the assistant's next turn; returns it parsed, and how it ended."""
        start = len(self.row.tokens)
        done = await self._sample()
        while done.finish == "abort" and self.budget > 0:  # new weights came: go on from what was sampled
            done = await self._sample()
        turn = self.row.tokens[start:]
        return self._renderer.parse(turn, self._tools), done.finish

    async def _sample(self) -> Completion:
        sampling = replace(self._sampling, max_tokens=self.budget)
        done = await self._engine.generate(self.row.tokens, sampling, session=self._name)
        self.row.sample(done.tokens, done.logprobs, done.versions)
        return done

    async def close(self) -> None:
        """Free what the engine keeps for the conversation."""
        if self._name:
            await self._engine.release(self._name)
