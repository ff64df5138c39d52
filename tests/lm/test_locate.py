"""What `model.pretrained` may name. The hub's cache is made by hand; nothing is downloaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gguf_files import write_gguf
from tiny_models import random_config, random_decoder

from espalier.core.errors import ConfigError, DataError
from espalier.lm.build import build
from espalier.lm.checkpoint.locate import locate
from espalier.lm.checkpoint.pretrained import Folder, GgufFile, open_pretrained
from espalier.lm.config import ModelConfig

NAME, COMMIT = "espalier-tests/tiny", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, without a network."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


def snapshot(hub: Path) -> Path:
    """The folder of the model's snapshot, as the hub's library lays it out."""
    repository = hub / f"models--{NAME.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder


def test_a_model_in_the_hubs_cache_is_found(hub: Path) -> None:
    model = build(ModelConfig(decoder={"num_hidden_layers": 1}), seed=3, texts=["ab"])
    folder = snapshot(hub)
    model.save(folder)
    assert locate(NAME) == folder
    again = build(ModelConfig(pretrained=NAME), seed=0)
    assert torch.equal(again.decoder.head_weight, model.decoder.head_weight)


def test_a_model_that_is_not_there_says_what_to_do(hub: Path) -> None:
    words = rf"no folder {NAME} here.*cannot be downloaded \(.+\).*HF_HUB_OFFLINE=1.*HF_HOME"
    with pytest.raises(ConfigError, match=words):
        locate(NAME)
    (snapshot(hub) / "config.json").write_text("{}")  # a part of a model is none
    with pytest.raises((ConfigError, DataError)):
        open_pretrained(NAME).tokenizer()


def test_the_variable_of_the_hub_is_heeded(tmp_path: Path) -> None:
    """In a process of its own: the library reads its variables when it is imported."""
    code = f"from espalier.lm.checkpoint.locate import locate; locate({NAME!r})"
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert "ConfigError: there is no folder espalier-tests/tiny here" in done.stderr


def test_a_path_wins_over_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESPALIER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"smollm2-135m is not in the data cache.*espalier data fetch smollm2-135m"):
        locate("smollm2-135m")
    (tmp_path / "smollm2-135m").mkdir()
    assert locate("smollm2-135m") == Path("smollm2-135m")
    assert isinstance(open_pretrained("smollm2-135m"), Folder)


def test_a_file_is_a_gguf_file(tmp_path: Path) -> None:
    write_gguf(
        tmp_path / "any name", random_decoder(random_config("llama", 0).model_copy(update={"rope_scaling": None}))
    )
    assert isinstance(open_pretrained(str(tmp_path / "any name")), GgufFile)
    (tmp_path / "text.gguf").write_text("{}")
    with pytest.raises(DataError, match=r"text\.gguf: not a GGUF file: it begins with b'\{\}'"):
        open_pretrained(str(tmp_path / "text.gguf")).config  # noqa: B018 (reading it is the test)


@pytest.mark.parametrize(
    "word", ["", "nothing", "./nothing", "/nothing/here", "a/b/c", "x" * 5000, "folder/m.gguf", "a\0b"]
)
def test_what_names_nothing(word: str) -> None:
    with pytest.raises(ConfigError, match="there is no model"):
        locate(word)


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(ConfigError, match="did you mean 'smollm2-135m'"):
        locate("smollm2")


def test_serve_says_it_before_torch_is_imported() -> None:
    code = "import sys; from espalier.cli.main import main; main(['serve', 'nothing']); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "there is no model 'nothing'" in done.stderr
    assert done.stdout.strip() == "False"
