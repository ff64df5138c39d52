"""`espalier serving`, as it is typed."""

from __future__ import annotations

import argparse
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from espalier.cli.commands.serving import TAKES, add_serving
from espalier.cli.main import main


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A small trace of our own format."""
    file = tmp_path / "small.jsonl"
    rows = ({"arrival_s": 0.05 * k, "prompt_tokens": 100 + 700 * (k % 5), "output_tokens": 5} for k in range(200))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_simulate_prints_every_policy(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serving", "simulate", str(trace), "--pool=2x2", "--load=0.6", "requests=200"]) == 0
    said = capsys.readouterr().out
    for name in ("random", "round_robin", "power_of_two", "least_requests", "least_tokens", "pull", "sbs", "sbs_whole"):
        (row,) = re.findall(rf"│ +{name} │(.*)│", said)
        mean, p50, p90, p99, *_ = (float(one) for one in row.split("│"))
        assert 0 < p50 <= p90 <= p99
        assert p50 / 3 < mean < p99


def test_simulate_without_a_trace_and_to_the_last_token(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lognormal", "lengths.prompt=700", "requests=300", "decode.ranks=4", "targets.ttft=2", "targets.tpot=0.1"]
    assert main(["serving", "simulate", *words, "--pool=2x2", "--load=0.6"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"busy ┃ +TPOT ┃ tokens/s ┃ +good ┃$", said, re.M)
    (row,) = re.findall(r"│ +sbs │(.*)│", said)
    *_, tpot, throughput, good = (float(one.replace(",", "")) for one in row.split("│"))
    assert 0.012 < tpot < 0.2
    assert throughput > 100
    assert 0.3 < good <= 1.0


def test_simulate_tells_what_never_finished_and_what_was_out_of_order(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace.write_text("".join(reversed(trace.read_text().splitlines(keepends=True))))
    assert main(["serving", "simulate", str(trace), "--pool=1x2", "requests=100", "trouble.dead=0.5"]) == 0
    said = capsys.readouterr().out
    (row,) = re.findall(r"│ +sbs │(.*)│", said)
    assert 30 < int(row.split("│")[-1]) < 100
    assert "199 requests of the file stood behind later ones" in said


def test_explain_says_why(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serving", "explain", str(trace), "--pool=2x2", "--policy=sbs", "requests=60"]) == 0
    said = capsys.readouterr().out
    assert "all_idle" in said
    assert sum(int(number) for number in re.findall(r"^\w+: (\d+)$", said, re.M)) == 60


def test_calibrate_prints_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "passes.csv"
    file.write_text("tokens,seconds\n" + "".join(f"{n},{0.05 + n / 8000}\n" for n in (100, 800, 2000, 4000)))
    assert main(["serving", "calibrate", str(file), "--chunk=4096"]) == 0
    said = capsys.readouterr().out
    assert "4 measurements, R2 1.0000" in said
    assert re.search(r"base: 0\.05\d*\s+per_token: 0\.000125", said)
    assert main(["serving", "calibrate", str(file), "--chunk=6001"]) == 2
    assert "beyond" in capsys.readouterr().err
    assert main(["serving", "calibrate", str(file), "--chunk=6001", "--beyond"]) == 0
    assert "chunk: 6001" in capsys.readouterr().out
    assert main(["serving", "calibrate", str(file), "--chunk=0"]) == 2
    assert "'chunk' must be greater than 0" in capsys.readouterr().err


def test_calibrate_decoding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "steps.csv"
    rows = [(r, kv, 0.01 + 1e-4 * r + 2e-7 * kv) for r in (1, 50, 100) for kv in (0, 100_000)]
    file.write_text("requests,kv,seconds\n" + "".join(f"{r},{kv},{s}\n" for r, kv, s in rows))
    assert main(["serving", "calibrate", str(file)]) == 2
    assert "requests 256 is more than 1.5 times the largest measured (100)" in capsys.readouterr().err
    assert main(["serving", "calibrate", str(file), "--requests=150", "--kv=150000"]) == 0
    assert re.search(
        r"decode:\s+base: 0\.01\d*\s+per_request: 0\.0001\s+per_kv: (2e-07|2\.0e-07)", capsys.readouterr().out
    )
    assert main(["serving", "calibrate", str(file), "--beyond"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["simulte"], "espalier serving cannot 'simulte'.*simulate"),
        (["simulate"], "usage: espalier serving simulate TRACE"),
        (["simulate", "nowhere.jsonl"], "nowhere.jsonl"),
        (["simulate", "TRACE", "requests"], "'requests' is not an override: write key=value"),
        (["simulate", "TRACE", "reqests=5"], "reqests.*did you mean.*requests"),
        (["simulate", "TRACE", "--pool=4by32"], "4by32"),
        (["gateway", "missing.yaml"], "cannot read missing.yaml"),
        (["calibrate", "missing.csv"], "there is no missing.csv"),
        (["calibrate", "one.csv", "two.csv"], "usage: espalier serving calibrate"),
        (["compare"], "cannot 'compare'; there is calibrate"),
    ],
)
def test_what_is_wrong_is_named(
    words: list[str], message: str, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(trace) if word == "TRACE" else word for word in words]
    assert main(["serving", *words]) == 2
    assert re.search(message, " ".join(capsys.readouterr().err.split()))


OPTIONS = {
    "data-root": ("x", "simulate", "explain"),
    "pool": ("4x32", "simulate", "explain"),
    "load": ("0.8", "simulate", "explain"),
    "policy": ("sbs_whole", "explain"),
    "chunk": ("4096", "calibrate"),
    "requests": ("5", "calibrate"),
    "kv": ("5", "calibrate"),
    "beyond": ("", "calibrate"),
    "model": ("fake", "calibrate"),
    "port": ("9000", "fake-engine"),
    "ranks": ("8", "fake-engine"),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("verb", ["simulate", "explain", "calibrate", "gateway", "fake-engine"])
def test_an_option_that_a_verb_does_not_use_is_refused(
    verb: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where its value is the default of the verb that has it."""
    value, *verbs = OPTIONS[option]
    if verb in verbs:
        return
    words = [f"--{option}={value}"] if value else [f"--{option}"]
    assert main(["serving", verb, "nowhere.csv", *words]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"espalier serving {verb} has no --{option}: it is of espalier serving {verbs[0]}" in said


def test_every_option_is_known_to_belong_to_a_verb() -> None:
    parser = argparse.ArgumentParser()
    add_serving(parser)
    names = {one.dest for one in parser._actions if one.option_strings} - {"help"}
    assert names == set(TAKES) == {option.replace("-", "_") for option in OPTIONS}


def test_a_trace_with_a_bad_row_is_an_error_with_file_and_line(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = trace.read_text().splitlines()
    trace.write_text("\n".join([*lines[:6], '{"arrival_s": 1, "prompt_tokens": -4}', *lines[6:]]))
    assert main(["serving", "simulate", str(trace)]) == 2
    assert "small.jsonl:7" in capsys.readouterr().err.replace("\n", "")


@contextmanager
def started(*words: str, port: int) -> Iterator[str]:
    """The address of a server that answers, ended afterwards."""
    process = subprocess.Popen([sys.executable, "-m", "espalier", "serving", *words], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        assert process.wait(10) is not None


def test_the_gateway_and_its_engines_as_processes(tmp_path: Path) -> None:
    one, two, front, back = free_ports(4)
    settings = {
        "port": front,
        "admin_port": back,
        "scheduler": {"policy": "sbs_whole"},
        "prefill": {"base": 0.01, "per_token": 0.0001, "chunk": 256},
        "targets": [{"urls": [f"http://127.0.0.1:{port}"], "ranks": 2, "kind": "events"} for port in (one, two)],
    }
    (tmp_path / "gateway.yaml").write_text(json.dumps(settings))
    times = ("base=0.01", "per_token=0.0001", "chunk=256", "--ranks=2")
    with (
        started("fake-engine", *times, f"--port={one}", port=one) as first,
        started("fake-engine", *times, f"--port={two}", port=two),
        started("gateway", str(tmp_path / "gateway.yaml"), port=front) as gateway,
    ):
        body = {"model": "fake", "messages": [{"role": "user", "content": "a b c"}], "max_tokens": 4}
        answer = httpx.post(f"{gateway}/v1/chat/completions", json=body).json()
        assert len(answer["choices"][0]["message"]["content"].split()) == 4
        assert answer["usage"]["prompt_tokens"] == 3
        assert httpx.get(f"{gateway}/ready").status_code == 200
        assert httpx.get(f"{gateway}/admin/state").status_code == 404
        assert len(httpx.get(f"http://127.0.0.1:{back}/admin/state").json()["instances"]) == 2
        assert main(["serving", "calibrate", first, "--chunk=256"]) == 0


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("targets: [", [], r"g.yaml:1: this is not YAML"),
        ('targets:\n  - {urls: ["http://a"]}\nport: 99999', [], r"g.yaml:3: 'port'"),
        ('targets:\n  - {urls: ["http://a"]}\nprot: 1', [], r"g.yaml:3: unknown key 'prot'; did you mean 'port'\?"),
        ('targets:\n  - {urls: ["a:1"]}', [], r"g.yaml:2: .*must begin with http"),
        ('targets:\n  - {urls: ["http://a"]}', ["port=TAKEN"], r"cannot listen on 127.0.0.1:\d+ \(.*in use\)"),
        ('targets:\n  - {urls: ["http://a"]}', ["admin_port=TAKEN"], r"cannot listen on 127.0.0.1:\d+ \(.*in use\)"),
        ('targets:\n  - {urls: ["http://a"]}\napi_keys: [""]', [], r"g.yaml:3: 'api_keys'.*visible ASCII"),
        ('targets:\n  - {urls: ["http://a"]}\nengine_key: "a b"', [], r"g.yaml:3: 'engine_key'.*visible ASCII"),
    ],
)
def test_what_is_wrong_with_a_gateway_is_named(
    text: str, words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(text)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = [word.replace("TAKEN", str(taken.getsockname()[1])) for word in words]
        assert main(["serving", "gateway", str(file), *words]) == 2
    assert re.search(message, capsys.readouterr().err)
