"""Recipe section of a tree search. Imports without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from espalier.core.config import Config

Places = Literal["surprisal", "diverse", "random"]
Credit = Literal["paper", "released_code"]


Marker = Annotated[str, Field(min_length=1)]


class TreeConfig(Config):
    """The entropy-guided tree search (EPTree) and the process rewards of TreeRL (Hou et al., arXiv 2506.11902).

    A search makes `chains * (1 + forks * rounds * branches)` attempts, of which `rollout.samples_per_group` are
    trained.
    """

    chains: PositiveInt = 6
    """M, the attempts from the prompt."""
    forks: NonNegativeInt = 2
    """N, the places at which the tree of each chain is forked in a round. With 0, the attempts are independent."""
    rounds: NonNegativeInt = 1
    """L, how often forks are chosen. A later round may fork what an earlier one sampled."""
    branches: PositiveInt = 2
    """T, the attempts that go on from each fork."""
    places: Places = "surprisal"
    """Where to fork. `surprisal`: at the tokens with the lowest probability. `diverse`: at tokens far apart, chosen
    among five times as many as `forks`. `random`: at random allowed tokens, as a control."""
    at: Literal["tokens", "turns"] = "tokens"
    """Fork at any token that the policy sampled, or only where a turn after the first begins."""
    markers: tuple[Marker, ...] = ("#", "</think>", "\\boxed", "<answer>")
    """Texts that begin an answer. Nothing is forked after one."""
    credit: Credit = "paper"
    """`paper`: the formulas of the paper. `released_code`: those of its code, which differ."""
    global_weight: float = Field(default=1.0, ge=0.0)
    """Weight of GA: how much better a segment's leaves are than the mean over all leaves."""
    local_weight: float = Field(default=1.0, ge=0.0)
    """Weight of LA: how much better a segment's leaves are than those of the segment before."""
    normalize: bool = True
    """Divide by the square root of the number of leaves below: a segment that rows share is trained once in each."""

    @model_validator(mode="after")
    def _some_credit(self) -> Self:
        if not self.global_weight and not self.local_weight:
            raise ValueError("tree.global_weight and tree.local_weight are both 0: there would be no credit")
        return self

    @property
    def attempts(self) -> int:
        """Attempts of one search, where every chain has enough places to fork at."""
        return self.chains * (1 + self.forks * self.rounds * self.branches)
