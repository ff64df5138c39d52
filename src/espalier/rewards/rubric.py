"""A rubric: weighted rewards."""

from dataclasses import dataclass

from espalier.envs.api import Episode
from espalier.rewards.config import RubricConfig


@dataclass(frozen=True, slots=True)
class Scores:
    """Weighted values, raw values and the sum."""

    components: dict[str, float]
    raw: dict[str, float]
    total: float


class Rubric:
    """The environment's own reward."""

    def __init__(self, config: RubricConfig) -> None:
        self.names = ["env"]

    async def score(self, episode: Episode) -> Scores:
        """Score one episode."""
        value = episode.env_reward or 0.0
        return Scores({"env": value}, {"env": value}, value)
