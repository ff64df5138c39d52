"""Checkpoints in parts, read by one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from espalier.core.errors import DataError
from espalier.rl.learner.checkpoint import read_part
from espalier.rl.learner.ranks.storage import load_parts, saved_names


def write(folder: Path, pieces: dict[int, torch.Tensor], starts: dict[int, int]) -> None:
    """Rows of a matrix `a`, a file for each rank, as torch writes them."""
    folder.mkdir()
    for rank, piece in pieces.items():
        about = {"DCP_SHARDING_INFO": json.dumps({"a": {"saved_offsets": [starts[rank], 0]}}), "DCP_VERSION": "1.0"}
        save_file({"a": piece.contiguous()}, folder / f"shard-{rank + 1:05}-model-00001-of-00001.safetensors", about)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3))
def test_parts_of_any_number_of_ranks_come_together(sizes: list[int], columns: int) -> None:
    import tempfile

    whole = torch.randn(sum(sizes), columns)
    starts = {rank: sum(sizes[:rank]) for rank in range(len(sizes))}
    pieces = {rank: whole[starts[rank] : starts[rank] + size] for rank, size in enumerate(sizes)}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "policy"
        write(folder, pieces, starts)
        assert saved_names(folder) == {"a": [sum(sizes), columns]}
        found = torch.zeros_like(whole)
        load_parts(folder, {"a": found}, alone=True)
        assert torch.equal(found, whole)
        if len(sizes) > 2:  # a part in the middle
            (folder / "shard-00002-model-00001-of-00001.safetensors").unlink()
            with pytest.raises(DataError, match="parts of a are missing"):
                load_parts(folder, {"a": found}, alone=True)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    write(tmp_path / "policy", {0: torch.ones(2, 3)}, {0: 0})
    with pytest.raises(DataError, match=r"a is missing, or has another shape than \[2, 4\]"):
        load_parts(tmp_path / "policy", {"a": torch.zeros(2, 4)}, alone=True)
    with pytest.raises(DataError, match="b is missing"):
        load_parts(tmp_path / "policy", {"b": torch.zeros(2, 3)}, alone=True)
    assert set(read_part(tmp_path, "policy")) == {"a"}  # its name, so that the caller can say what is odd
    (tmp_path / "policy" / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        saved_names(tmp_path / "policy")
