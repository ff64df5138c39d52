"""Config of an algorithm: one choice for each of its parts. Imports without torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.rl.algorithms.plugin import PluginConfig
from espalier.rl.algorithms.rows import ROWS

Advantage = Literal["reward", "group_mean", "group_std", "leave_one_out", "gae"]
Loss = Literal["reinforce", "ppo", "gspo", "cispo"]
Correction = Literal["none", "bypass", "tis", "icepop", "sequence_mask", "decoupled", "double_sided"]
Aggregate = Literal["token", "sequence", "sequence_sum", "constant"]
Estimator = Literal["k1", "k2", "k3"]


class Algorithm(Config):
    """The algorithm `name` of the table, with any of its fields changed: `Algorithm(name="dapo", clip_high=0.3)`.

    There are three log-probs: `behave`, the engine's when it sampled; `prox`, the learner's at the start of the update;
    `new`, the current one.
    """

    selector: ClassVar[str | None] = "name"
    later: ClassVar[frozenset[str]] = frozenset({"plugin", "turn_rewards", "kl_center"})

    name: str = "grpo"
    """The algorithm of the table that gives the fields not set here."""
    advantage: Advantage = "group_std"
    """Advantage estimator: the reward itself (`reward`), its difference from the group's mean (`group_mean`;
    `group_std` divides it by the group's standard deviation; `leave_one_out` takes the mean of the others), or a critic
    (`gae`)."""
    turn_rewards: bool = False
    """Credit the environment's reward for a turn to the tokens up to the end of that turn, and not to later ones. For
    `reward` and `gae` advantages. Without it, the whole reward is credited at the last token."""
    plugin: PluginConfig | None = None
    """Your own functions for any of the three parts: advantage, loss, correction."""
    whiten: Literal["none", "batch", "task"] = "none"
    """Normalise token advantages to mean 0 and standard deviation 1, over the whole batch or within each task."""
    gamma: float = Field(default=1.0, gt=0.0, le=1.0)
    """Discount per token, for `reward` and `gae` advantages."""
    lam: float = Field(default=1.0, ge=0.0, le=1.0)
    """GAE's lambda: 1 is the Monte-Carlo return minus the value, 0 the one-step error."""
    filter_zero_variance: bool = False
    """Replace groups whose rewards are all equal by other groups (DAPO's dynamic sampling)."""
    loss: Loss = "ppo"
    """The policy loss of a token."""
    clip_low: float = Field(default=0.2, ge=0.0, le=1.0)
    """The ratio is clipped below at 1 - clip_low. 1 means no lower bound."""
    clip_high: PositiveFloat = 0.2
    """The ratio is clipped above at 1 + clip_high."""
    dual_clip: float | None = Field(default=None, gt=1.0)
    """For tokens with a negative advantage, bounds the loss at this multiple of the advantage; null: no bound. Only for
    `ppo`."""
    aggregate: Aggregate = "token"
    """How token losses are aggregated: mean over tokens; mean over rows of each row's mean (`sequence`) or sum
    (`sequence_sum`); sum over rows divided by the number of rows and a `constant` length."""
    constant: PositiveFloat | None = None
    """The length that `constant` aggregation divides by, in tokens; null: `rollout.max_tokens`."""
    correction: Correction = "bypass"
    """Off-policy correction. `bypass`: ratio new/behave. `none`: ratio new/prox. `tis`, `icepop`, `decoupled`: ratio
    new/prox, with the weight prox/behave truncated, masked outside of bounds, or exact. `sequence_mask`: ratio
    new/behave; rows with negative advantage that drifted too far are masked. `double_sided`: weight new/behave inside
    the clip bounds, else 0."""
    correction_low: PositiveFloat = 0.5
    """Smallest importance weight that `icepop` keeps, and smallest mean ratio that `sequence_mask` keeps."""
    correction_high: PositiveFloat = 2.0
    """Cap of the importance weight in `tis`, and the largest that `icepop` keeps."""
    kl_coef: NonNegativeFloat = 0.0
    """Weight of the KL divergence to the reference."""
    kl_estimator: Estimator = "k2"
    """With d = log new/ref: d, d²/2 or exp(-d) - 1 + d. As a loss, k2 has the gradient of KL(new || ref) and k3 that of
    KL(ref || new); k1 belongs in the reward."""
    kl_as: Literal["loss", "reward"] = "loss"
    """Whether the KL is added to the loss or subtracted from the reward."""
    kl_center: bool = False
    """With `kl_as: reward`, subtract the batch's mean KL first: a row with a mean KL is neither paid nor charged for it
    (T1, Hou et al., arXiv 2501.11651). Advantages that compare a group (`leave_one_out` in T1) are the same with and
    without."""
    entropy_coef: NonNegativeFloat = 0.0
    """Weight of the entropy bonus."""
    overlong: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Last part of the length limit, as a share of it, over which the reward falls by up to 1 (DAPO's soft overlong
    punishment); 0 for none."""

    @model_validator(mode="before")
    @classmethod
    def _from_row(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        name = given.get("name", "grpo")
        if not isinstance(name, str) or name not in ROWS:
            near = difflib.get_close_matches(str(name), ROWS, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(ROWS)}"
            raise ConfigError(f"algorithm.name: there is no algorithm {name!r}; {hint}")
        return {**ROWS[name], **given}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kl_coef and self.kl_as == "loss" and self.kl_estimator == "k1":
            raise ConfigError("algorithm.kl_estimator: k1 as a loss has no expected gradient; use k2, or kl_as=reward")
        if self.kl_center and (self.kl_as != "reward" or not self.kl_coef):
            raise ConfigError("algorithm.kl_center is for a KL in the reward: set kl_as=reward and kl_coef")
        if self.correction == "double_sided" and self.loss != "reinforce":
            raise ConfigError(f"algorithm.correction: double_sided needs loss=reinforce, not {self.loss}")
        if self.dual_clip is not None and self.loss != "ppo":
            raise ConfigError(f"algorithm.dual_clip is only for loss=ppo, not {self.loss}; set it to null")
        if self.turn_rewards and self.advantage not in ("reward", "gae"):
            raise ConfigError(
                f"algorithm.turn_rewards: advantage={self.advantage} compares whole rows; use reward or gae"
            )
        if self.correction_low > self.correction_high:
            raise ConfigError("algorithm.correction_low must not exceed correction_high")
        return self

    @property
    def title(self) -> str:
        """The name, and the fields that differ from the table: `grpo (clip_high=0.28)`."""
        row = dict(type(self)(name=self.name))
        changed = [f"{field}={value}" for field, value in self if value != row[field] and field != "plugin"]
        changed += [f"{part}={where}" for part, where in (self.plugin.named if self.plugin else {}).items()]
        return f"{self.name} ({', '.join(changed)})" if changed else self.name

    def over(self, length: int) -> Algorithm:
        """The same algorithm for responses of at most `length` tokens; `constant` becomes `length` unless it is set."""
        return self if self.constant is not None else self.model_copy(update={"constant": float(length)})

    @property
    def needs_group(self) -> bool:
        """Whether a row is compared with others of its group, so that groups need two rows or more."""
        if self.plugin and self.plugin.advantage:
            return self.plugin.asks_for("advantage", "group")
        return self.advantage in ("group_mean", "group_std", "leave_one_out")

    @property
    def needs_values(self) -> bool:
        """Whether the advantage needs a critic's values."""
        return self.advantage == "gae" and not (self.plugin and self.plugin.advantage)

    @property
    def needs_prox(self) -> bool:
        """Whether `prox` is needed after the first optimizer step of an update; before it, `prox` equals `new`."""
        if self.plugin and (self.plugin.correction or self.plugin.asks_for("loss", "prox")):
            return True
        return self.correction in ("none", "tis", "icepop", "decoupled")

    @property
    def needs_reference(self) -> bool:
        """Whether log-probs under a reference model are used."""
        return self.kl_coef > 0.0
