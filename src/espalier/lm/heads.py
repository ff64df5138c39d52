"""Scalar heads on a decoder's hidden states, saved next to its weights."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from espalier.core.errors import DataError
from espalier.core.io.files import write_atomic


class ScalarHead(nn.Module):
    """A linear map from a hidden state to a number. It is initialised to zero, so its first output is 0."""

    FILE: ClassVar[str]

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, hidden_size] -> [M]."""
        out: Tensor = self.score(hidden)
        return out[:, 0]

    def save(self, folder: Path) -> None:
        """Write the head into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / self.FILE, save(self.state_dict(), {"format": "pt"}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the head from `folder`. Raises DataError if it is missing or broken."""
        path = folder / cls.FILE
        try:
            tensors = load_file(path)
            head = cls(tensors["score.weight"].shape[1])
            head.load_state_dict(tensors)
        except (OSError, SafetensorError, LookupError, RuntimeError) as error:
            raise DataError(f"{path}: cannot be read as a {cls.__name__} ({error})") from error
        return head


class ValueHead(ScalarHead):
    """The expected return from a token on, for PPO's critic: one value per hidden state."""

    FILE = "value_head.safetensors"


class RewardHead(ScalarHead):
    """The score of a whole answer, read at its last token."""

    FILE = "reward_head.safetensors"
