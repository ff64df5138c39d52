"""The recipe section `rewards:`."""

from espalier.core.config import Config


class RubricConfig(Config):
    """What an episode is rewarded for."""
