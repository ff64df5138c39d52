from pathlib import Path

import pytest
import torch

from espalier.core.errors import DataError
from espalier.lm.heads import RewardHead, ScalarHead, ValueHead


@pytest.mark.parametrize("kind", [ValueHead, RewardHead])
def test_starts_at_zero_and_learns(kind: type[ScalarHead]) -> None:
    head, hidden = kind(4), torch.randn(3, 4)
    assert head(hidden).tolist() == [0.0, 0.0, 0.0]
    head(hidden).sum().backward()
    torch.testing.assert_close(head.score.weight.grad[0], hidden.sum(0))


@pytest.mark.parametrize("kind", [ValueHead, RewardHead])
def test_round_trip(kind: type[ScalarHead], tmp_path: Path) -> None:
    head, hidden = kind(4), torch.randn(3, 4)
    torch.nn.init.normal_(head.score.weight)
    head.save(tmp_path)
    assert torch.equal(kind.load(tmp_path)(hidden), head(hidden))


def test_both_heads_live_in_one_folder_and_broken_ones_are_named(tmp_path: Path) -> None:
    ValueHead(2).save(tmp_path)
    with pytest.raises(DataError, match=r"reward_head\.safetensors"):
        RewardHead.load(tmp_path)
    (tmp_path / "value_head.safetensors").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"value_head\.safetensors"):
        ValueHead.load(tmp_path)
