from pathlib import Path

import pytest

from espalier.core.data import DataRoot
from espalier.core.errors import DataError


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    (tmp_path / "shared" / "data").mkdir(parents=True)
    return folder


def test_the_option_wins_then_the_environment_then_the_checkout(checkout: Path) -> None:
    environ = {"ESPALIER_DATA": "/from/environment"}
    beside = checkout.parent / "shared" / "data"
    assert DataRoot.find(Path("/from/option"), environ, checkout).path == Path("/from/option")
    assert DataRoot.find(None, environ, checkout).path == Path("/from/environment")
    assert DataRoot.find(None, {}, checkout).path == beside
    assert DataRoot.find(None, {"ESPALIER_DATA": ""}, checkout).path == beside


def test_an_installed_package_has_no_default(checkout: Path) -> None:
    (checkout / "pyproject.toml").unlink()
    assert DataRoot.find(None, {}, checkout).path is None


def test_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").touch()
    assert DataRoot(tmp_path).file("a/b.txt") == tmp_path / "a" / "b.txt"


@pytest.mark.parametrize("root", [None, Path("/nowhere")])
def test_a_missing_file_says_what_to_set(root: Path | None) -> None:
    with pytest.raises(DataError, match=r"text/train\.jsonl.*ESPALIER_DATA.*--data-root"):
        DataRoot(root).file("text/train.jsonl")
