"""A disk that is full or read-only, as the kernel has it: words and an exit code, and what was there before stays."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TOY = [sys.executable, str(Path(__file__).with_name("toy.py"))]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a tmpfs with the options given. Skips where the tests may not mount."""
    place = tmp_path / "disk"
    place.mkdir()

    def go(*options: str) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place], capture_output=True)
        if done.returncode:
            pytest.skip("mounting needs root")
        return place

    yield go
    subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    recipe = tmp_path / "count.yaml"
    recipe.write_text("job: toy.count\nname: count\nsteps: 2000\n")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*TOY, *(str(recipe) if word == "count" else word for word in words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return call


@pytest.mark.parametrize("kilobytes", [8, 40, 300])
def test_a_full_disk_is_words(mount, toy, kilobytes: int) -> None:
    place = mount(f"size={kilobytes}k")
    done = toy("run", "count", "--runs-dir", str(place / "runs"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


def test_a_read_only_disk_is_words(mount, toy) -> None:
    place = mount("size=4m")
    assert toy("run", "count", "fail_at=3", "--runs-dir", str(place / "runs")).returncode == 2
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    before = sorted(place.rglob("*"))
    for words in (("run", "count", "--runs-dir", str(place / "runs")), ("resume", str(place / "runs" / "count"))):
        done = toy(*words)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "Read-only file system" in done.stderr
    assert sorted(place.rglob("*")) == before


def test_a_limit_on_the_size_of_files_is_words(tmp_path: Path, toy) -> None:
    """The limit is met by the metrics, in the middle of the run."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        done = toy("run", "count", "--runs-dir", str(tmp_path / "runs"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert "to go on from the last checkpoint" in done.stdout
