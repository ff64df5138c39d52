"""What is written is checked when it is read: a broken checkpoint is told from a whole one, whatever broke it."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import DataError, NoCheckpointError, RunError
from espalier.core.io.files import write_json
from espalier.core.run import checkpoints as module
from espalier.core.run.checkpoints import Checkpoints, seal, verify
from espalier.core.run.pieces import has_piece, read_piece, write_piece


class Kept:
    """A store in a run folder that fills checkpoints with their number."""

    def __init__(self, root: Path, keep: int = 2) -> None:
        self.folder, self.said = root / "checkpoints", list[str]()
        self.folder.mkdir(exist_ok=True)
        self.store = Checkpoints(self.folder, keep=keep, say=self.said.append)

    def write(self, *numbers: int) -> None:
        for number in numbers:
            with self.store.write(number) as path:
                (path / "learner").mkdir()
                (path / "learner" / "weights").write_bytes(bytes([number]) * 1000)
                (path / "state.json").write_text(f'{{"step": {number}}}')

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def newest(self) -> str | None:
        found = self.store.newest()
        return found and found.name


def test_the_newest_are_kept_and_found(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert kept.newest() is None
    kept.write(9, 10, 11)
    assert kept.names() == ["step_0000010", "step_0000011"]
    assert kept.newest() == "step_0000011"


def test_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.write(3)
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(command, cwd=kept.folder / "step_0000003", check=True, capture_output=True, timeout=30)


DAMAGES = {
    "a bit": lambda path: flip(path / "learner" / "weights", 500),
    "cut": lambda path: os.truncate(path / "learner" / "weights", 10),
    "empty": lambda path: os.truncate(path / "state.json", 0),
    "longer": lambda path: (path / "state.json").write_text((path / "state.json").read_text() + "\n"),
    "file gone": lambda path: (path / "learner" / "weights").unlink(),
    "file more": lambda path: (path / "learner" / "more").touch(),
    "sums gone": lambda path: (path / "SHA256SUMS").unlink(),
    "sums empty": lambda path: os.truncate(path / "SHA256SUMS", 0),
    "sums garbage": lambda path: (path / "SHA256SUMS").write_bytes(b"\xff\xfe\x00garbage"),
    "all gone": lambda path: [shutil.rmtree(path), path.mkdir()],
}


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at % len(content)] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_broken_newest_falls_back_to_the_one_before(tmp_path: Path, damage) -> None:
    kept = Kept(tmp_path)
    kept.write(1, 2, 3)
    damage(kept.folder / "step_0000003")
    assert kept.newest() == "step_0000002"
    assert "going on from step 2 instead" in kept.said[0]
    assert "step_0000003" in kept.said[0]
    assert kept.names() == ["broken_step_0000003", "step_0000002"]
    kept.write(3)
    assert kept.newest() == "step_0000003"
    assert len(kept.said) == 1


@settings(max_examples=50, deadline=None)
@given(name=st.sampled_from(["learner/weights", "state.json", "SHA256SUMS"]), at=st.integers(0, 999))
def test_any_flipped_bit_is_found(tmp_path_factory, name: str, at: int) -> None:
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "learner").mkdir()
    (folder / "learner" / "weights").write_bytes(bytes(range(100)))
    (folder / "state.json").write_text('{"step": 3}')
    seal(folder)
    verify(folder)
    flip(folder / name, at)
    with pytest.raises(DataError):
        verify(folder)


def test_the_newest_gone_is_said(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.write(1, 2)
    shutil.rmtree(kept.folder / "step_0000002")
    assert kept.newest() == "step_0000001"
    assert kept.said == ["the checkpoint of step 2 is gone: going on from step 1 instead"]


def test_all_broken_or_gone_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.write(1, 2)
    for path in kept.folder.iterdir():
        DAMAGES["a bit"](path)
    with pytest.raises(NoCheckpointError, match=r"no checkpoint is left to go on from .*espalier run .*config\.yaml"):
        kept.newest()
    assert kept.names() == ["step_0000001", "step_0000002"]
    shutil.rmtree(kept.folder)
    with pytest.raises(RunError, match="step 2 was written, and is gone"):
        kept.newest()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_write_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch, number: int) -> None:
    kept = Kept(tmp_path, keep=1)
    kept.write(1)

    def refuse(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RunError, match=rf"step 2 could not be written: .*{os.strerror(number)}; the one of step 1"):
        kept.write(2)
    monkeypatch.undo()
    assert kept.names() == ["step_0000001"]
    assert kept.newest() == "step_0000001"
    assert kept.said == []


def test_one_before_is_kept_until_the_next_is_read_back(tmp_path: Path, monkeypatch) -> None:
    """A disk that gives back something else than was written."""
    kept = Kept(tmp_path, keep=1)
    kept.write(1)
    sync = module.sync_tree

    def lossy(folder: Path) -> None:
        sync(folder)
        flip(folder / "learner" / "weights", 7)

    monkeypatch.setattr(module, "sync_tree", lossy)
    with pytest.raises(RunError, match=r"step 2 could not be written: .*weights is broken"):
        kept.write(2)
    assert kept.newest() == "step_0000001"


@given(st.dictionaries(st.text(max_size=5), st.one_of(st.floats(allow_nan=False), st.text(), st.none()), max_size=5))
def test_a_piece_comes_back(tmp_path_factory, value) -> None:
    value.pop("sha256", None)
    file = tmp_path_factory.mktemp("pieces") / "a.json"
    write_piece(file, value)
    assert read_piece(file) == value


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"score": 0.5, "sha256": "0"}', b"\xff\x00", b"null"])
def test_a_broken_piece_is_made_again_and_that_is_said(tmp_path: Path, content: bytes) -> None:
    file, said = tmp_path / "a.json", list[str]()
    assert not has_piece(file, said.append)
    write_piece(file, {"score": 0.25})
    assert has_piece(file, said.append)
    assert said == []
    file.write_bytes(content)
    assert not has_piece(file, said.append)
    assert "a.json" in said[0]
    assert "is made again" in said[0]
    with pytest.raises(DataError, match=r"a\.json"):
        read_piece(file)


def test_a_digit_that_changed_in_a_piece_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_piece(file, {"score": 0.25})
    file.write_text(file.read_text().replace("0.25", "0.75"))
    with pytest.raises(DataError, match="checksum differs"):
        read_piece(file)


def test_a_piece_without_a_checksum_is_made_again(tmp_path: Path) -> None:
    file, said = tmp_path / "a.json", list[str]()
    write_json(file, {"score": 0.25})
    assert not has_piece(file, said.append)
    assert said == [f"{file} is broken: its checksum differs or is missing: it is made again"]
