"""The options of `espalier serve`: whatever is wrong with them is said in a line, before the model is read."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import pytest
from serving_models import language

from espalier.cli.commands.serve import add_serve, api_keys, resolved
from espalier.cli.main import main
from espalier.core.errors import ConfigError, EspalierError, RunError
from espalier.core.sockets import address, listening
from espalier.engine.server.load import load_service
from espalier.engine.server.service import Service


def test_keys_come_from_the_options_or_the_environment() -> None:
    assert api_keys([], {}) == []
    assert api_keys([], {"ESPALIER_API_KEY": "k"}) == ["k"]
    assert api_keys(["a", "b"], {"ESPALIER_API_KEY": "k"}) == ["a", "b"]
    for wrong in ("", "a b", "é", "a\n"):
        with pytest.raises(ConfigError, match="a key must be one word"):
            api_keys([wrong], {})


def test_ports_are_taken_or_said() -> None:
    with listening("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        assert address(bound, "127.0.0.1") == f"http://127.0.0.1:{port}"
        with pytest.raises(EspalierError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(Address already in use\)"):
            listening("127.0.0.1", port)
    for host, port, why in (
        ("127.0.0.1", 65536, "ports are 0"),
        ("127.0.0.1", -1, "ports are 0"),
        ("a..b", 1, "a\\.\\.b:1"),
    ):
        with pytest.raises(EspalierError, match=why):
            listening(host, port)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("limits") / "model"
    language().save(path)
    return path


def test_a_port_in_use_is_said_before_the_model_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("espalier.engine.server.load.load_service", lambda args: 1 / 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["serve", str(folder), "--port", str(taken.getsockname()[1])]) == 2
    assert "Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-rows", "0"], "max_rows"),
        (["--max-len", "1"], "max_len"),
        (["--max-len", "4096"], "the model has 2048 positions"),
        (["--max-rows", "10000000000"], "lower max_rows"),
        (["--prefill-tokens", "0"], "prefill_tokens"),
        (["--grace", "-1"], "--grace"),
        (["--queue", "-1"], "--queue"),
        (["--port", "65536"], "ports are 0"),
        (["--api-key", ""], "a key must be one word"),
        (["--renderer", "template"], "no chat template"),
    ],
)
def test_mistakes_of_the_command_line_are_said_in_a_line(
    folder: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(folder), "--port", "0", *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe\x00"])
def test_broken_folders_are_said(folder: Path, tmp_path: Path, name: str, damage: bytes) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(damage if file.name == name else file.read_bytes())
    with pytest.raises(EspalierError, match=name.replace(".", r"\.") + "|eos_token"):
        load(tmp_path, "--renderer", "glm")


def load(folder: Path, *options: str) -> Service:
    parser = argparse.ArgumentParser()
    add_serve(parser)
    return load_service(resolved(parser.parse_args([str(folder), *options])))


def test_sizes_follow_the_model(folder: Path) -> None:
    config = load(folder, "--renderer", "glm", "--max-rows", "2").engine.config
    assert (config.max_rows, config.max_len, config.retain_rows) == (2, 2048, 0)


def test_a_run_is_served_by_the_name_of_its_folder(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "quickstart" / "2026-01-01_00-00-00"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("{}")
    with pytest.raises(RunError, match="holds no model: training saves it at its end"):
        load(run.parent, "--renderer", "glm")
    (run / "model").symlink_to(folder)
    assert load(run.parent, "--renderer", "glm").name == "quickstart"
    assert load(run, "--renderer", "glm").name == load(run / "model", "--renderer", "glm").name == "quickstart"
    assert load(run, "--renderer", "glm", "--name", "mine").name == "mine"
