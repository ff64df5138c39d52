"""Recipe section of rollouts. Imports without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config
from espalier.rl.rollout.tree.config import TreeConfig

Stale = Literal["mask", "wait", "drop"]


class CutConfig(Config):
    """How a thought that is cut goes on to its answer."""

    text: str = "</think>"
    """What is inserted; control tokens by their names."""
    marker: str = "</think>"
    """Text whose presence means that the answer has begun."""

    @model_validator(mode="after")
    def _answers(self) -> Self:
        if not self.marker or self.marker not in self.text:
            raise ValueError(f"text ({self.text!r}) must contain marker ({self.marker!r})")
        return self


class ForcingConfig(CutConfig):
    """Force answering: a turn that has not begun its answer when only `answer` tokens of `rollout.max_tokens` are left
    is continued with `text`, and then answers. The inserted tokens are not trained (GLM-4.1V-Thinking).
    """

    answer: PositiveInt = 16
    """Sampled tokens that are reserved for the answer."""


class BudgetsConfig(ForcingConfig):
    """The inference-scaling probe of T1: thoughts of the evaluation are cut at each budget, continued with `text`, and
    answered without sampling.
    """

    tokens: tuple[NonNegativeInt, ...] = (0, 8, 16, 32, 64)
    """Budgets: tokens of a thought. 0 is the empty thought, the control."""
    answerer: str | None = None
    """A model folder, whose tokenizer is that of the policy: who answers. By default the policy itself, whose way of
    answering changes during a run."""


class RolloutConfig(Config):
    """How trajectories are sampled. One step trains on `groups_per_step * samples_per_group` of them."""

    later = frozenset({"stale", "max_in_flight", "fixed_lag", "after_publish", "pad_groups", "tree", "forcing"})

    groups_per_step: PositiveInt = 16
    """Tasks in one training step."""
    samples_per_group: PositiveInt = 8
    """Attempts at each task; with `tree`, the leaves that are trained."""
    max_tokens: PositiveInt = 64
    """Tokens the policy may sample in one episode, all turns together."""
    max_turns: PositiveInt = 1
    """Turns the policy may take in one episode."""
    temperature: PositiveFloat = 1.0
    """Softmax temperature; the learner trains the policy at the same temperature."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Nucleus sampling. Values below 1 bias the ratio of the loss; keep 1 for training."""
    top_k: NonNegativeInt = 0
    """Sample only among the k most likely tokens; 0 for all. Biases the ratio like `top_p`."""
    min_p: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Drop tokens below this share of the most likely token's probability. Biases the ratio like `top_p`."""
    repairs: NonNegativeInt = 1
    """Number of times that a failed attempt is repeated before it is left out."""
    skip_zero_variance: bool = False
    """Skip rows that cannot change the policy, such as groups whose rewards are all equal. This saves time; the update
    is the same, because the rows count in its denominators. With a KL loss or an entropy bonus every row has a
    gradient, and none is skipped. Entropy, ratio and mismatch are then measured on the other rows only."""
    pad_groups: bool = False
    """If attempts of a group failed, replace them by copies of its other rows. If half of the rows or fewer are left,
    the group fails (GLM-5). By default a group with failed attempts stays smaller."""
    max_resampled: PositiveInt = 2
    """With `algorithm.filter_zero_variance`: largest number of groups replaced in one step, in multiples of
    `groups_per_step`."""
    env_seconds: PositiveFloat = 60.0
    """Timeout in seconds of each call of an environment."""
    max_lag: NonNegativeInt = 0
    """Largest lag of a trained token: the version of the weights being trained minus the version that sampled it. With
    0, sampling and training take turns. With more, groups for up to `max_lag` later steps run while the learner
    trains."""
    stale: Stale = "mask"
    """What happens to tokens with a lag above `max_lag`. `mask`: they are left out of the loss and stay as context.
    `wait`: groups are trained in the order in which they started, so that there are none. `drop`: their rows are
    dropped."""
    fixed_lag: bool = False
    """The learner waits until the groups of `max_lag` further steps are finished. After the first `max_lag` steps,
    every token has the largest lag. For studies of staleness; it makes training slower."""
    max_in_flight: NonNegativeInt = 0
    """Largest number of attempts that run at a time, including those that wait for an environment. With 0, only
    `max_lag` limits it."""
    after_publish: Literal["keep", "recompute"] = "keep"
    """What a publish does to the KV cache of unfinished answers: `keep` it, or `recompute` it with the new weights,
    which costs a prefill of each. The tokens are kept in both cases."""
    tree: TreeConfig | None = None
    """Search a tree of attempts for each task (TreeRL) instead of independent ones; null for none."""
    forcing: ForcingConfig | None = None
    """Where a turn of training reaches the limit while it thinks, insert a text and go on, so that it gives an answer.
    Evaluations have `evaluation.forcing`."""

    @property
    def overlap(self) -> bool:
        """Whether groups run while the learner trains."""
        return self.max_lag > 0

    @property
    def truncated(self) -> bool:
        """Whether the sampling distribution differs from the policy's, because of truncation."""
        return self.top_p < 1.0 or self.top_k > 0 or self.min_p > 0.0

    def untruncated(self, *, temperature: float, forcing: ForcingConfig | None, max_tokens: int | None = None) -> Self:
        """The same limits with the policy's whole distribution at `temperature`, 0 for no sampling at all."""
        return self.model_copy(
            update={
                "temperature": temperature,
                "top_p": 1.0,
                "top_k": 0,
                "min_p": 0.0,
                "forcing": forcing,
                "max_tokens": max_tokens or self.max_tokens,
            }
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.forcing is not None and self.forcing.answer >= self.max_tokens:
            raise ValueError(
                f"rollout.forcing.answer ({self.forcing.answer}) must leave tokens to think within rollout.max_tokens "
                f"({self.max_tokens})"
            )
        if self.tree is not None and self.tree.at == "turns" and self.max_turns < 2:
            raise ValueError("rollout.tree.at=turns forks where later turns begin: set rollout.max_turns to 2 or more")
        if self.tree is not None and self.tree.attempts < self.samples_per_group:
            raise ValueError(
                f"rollout.tree makes {self.tree.attempts} attempts, chains * (1 + forks * rounds * branches), fewer "
                f"than the {self.samples_per_group} of rollout.samples_per_group that are trained"
            )
        return self
