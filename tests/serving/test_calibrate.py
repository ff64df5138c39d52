"""Step times from measurements."""

from __future__ import annotations

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sockets import served

from espalier.core.errors import DataError, EngineError
from espalier.serving.gateway.fake import FakeEngine, FakeSettings
from espalier.serving.model.calibrate import fit, read_measurements
from espalier.serving.model.probe import probe
from espalier.serving.model.steptime import PrefillTime


@settings(max_examples=30, deadline=None)
@given(base=st.floats(0.001, 1.0), slope=st.floats(1e-6, 1e-2), seed=st.integers(0, 99))
def test_exact_measurements_give_the_line_back(base: float, slope: float, seed: int) -> None:
    tokens = np.random.default_rng(seed).integers(1, 8192, (20, 1)).astype(float)
    found = fit(("tokens",), tokens, base + slope * tokens[:, 0])
    assert found.base == pytest.approx(base, rel=1e-6, abs=1e-9)
    assert found.slopes[0] == pytest.approx(slope, rel=1e-6)
    assert found.p95 < 1e-9 + 1e-6 * base


def test_no_coefficient_is_negative() -> None:
    tokens = np.array([[1.0], [2.0], [3.0], [4.0]])
    falling = fit(("tokens",), tokens, np.array([4.0, 3.0, 2.0, 1.0]))
    assert (falling.base, falling.slopes) == (pytest.approx(2.5), (0.0,))
    assert falling.r2 == pytest.approx(0.0)


def test_r2_and_residuals_by_hand() -> None:
    """Through (1, 2), (2, 2), (3, 4): seconds = 2/3 + tokens; residuals 1/3, -2/3, 1/3 of a variance of 8/3."""
    found = fit(("tokens",), np.array([[1.0], [2.0], [3.0]]), np.array([2.0, 2.0, 4.0]))
    assert (found.base, found.slopes[0]) == (pytest.approx(2 / 3), pytest.approx(1.0))
    assert found.r2 == pytest.approx(1 - (6 / 9) / (8 / 3))
    assert found.p95 == pytest.approx(np.quantile([1 / 3, 1 / 3, 2 / 3], 0.95))


def test_it_does_not_reach_beyond_what_was_measured_unless_told() -> None:
    found = fit(("tokens",), np.array([[100.0], [500.0], [1000.0]]), np.array([0.2, 0.6, 1.1]))
    assert found.seconds(1500.0) == pytest.approx(1.6)
    with pytest.raises(DataError, match=r"tokens 1501 is more than 1.5 times the largest measured \(1000\)"):
        found.seconds(1501.0)
    assert found.seconds(2000.0, beyond=True) == pytest.approx(2.1)
    with pytest.raises(DataError, match=r"tokens 4096 is more than 1\.5 times"):
        found.prefill(4096)
    assert found.prefill(4096, beyond=True).chunk == 4096
    assert found.prefill(1024).seconds(500) == pytest.approx(0.6)


def test_tables_and_logs_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("tokens,seconds,host\n100,0.2,x\n200,0.3,y\n300,0.4,z\n")
    (tmp_path / "b.jsonl").write_text('{"tokens": 100, "seconds": 0.2}\n\n{"seconds": 0.3, "tokens": 200}\n')
    passes = '{"seen": 1, "largest": 0, "duration": null}', '{"largest": 100, "duration": 0.2}'
    (tmp_path / "c.jsonl").write_text("".join(f"data: {one}\n\n" for one in passes))
    read = [read_measurements(tmp_path / name) for name in ("a.csv", "b.jsonl", "c.jsonl")]
    assert [names for names, _, _ in read] == [("tokens",)] * 3
    assert [features[0].tolist() for _, features, _ in read] == [[100.0]] * 3
    assert [seconds.tolist() for _, _, seconds in read] == [[0.2, 0.3, 0.4], [0.2, 0.3], [0.2]]


def test_decode_measurements(tmp_path: Path) -> None:
    rows = [(r, kv, 0.01 + 1e-4 * r + 2e-7 * kv) for r in (1, 50, 200) for kv in (0, 100_000, 400_000)]
    (tmp_path / "d.csv").write_text("requests,kv,seconds\n" + "".join(f"{r},{kv},{s}\n" for r, kv, s in rows))
    found = fit(*read_measurements(tmp_path / "d.csv"))
    time = found.decode(256, 525_000)
    assert (time.base, time.per_request, time.per_kv) == pytest.approx((0.01, 1e-4, 2e-7))
    with pytest.raises(DataError, match=r"requests 301 is more than 1\.5 times the largest measured \(200\)"):
        found.decode(301, 400_000)
    with pytest.raises(DataError, match=r"kv 600001 is more than"):
        found.decode(300, 600_001)
    assert found.decode(1000, 1e6, beyond=True) == time


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", b"tokens,seconds\n1,0.1\n2,fast\n", r"a.csv:3: seconds is 'fast', no finite number"),
        ("a.csv", b"tokens,seconds\n1,0.1\n2,nan\n", r"a.csv:3: seconds is 'nan', no finite number"),
        ("a.csv", b"tokens,seconds\n1,0.1\n2,-1\n", r"a.csv:3: seconds is '-1'; it is at least 0"),
        ("a.csv", b"tokens,seconds\n1,0.1\n2,0\n", r"a.csv:3: seconds is 0; a pass takes some"),
        ("a.csv", b"tokens,seconds\n1,0.1\n-5000,1\n", r"a.csv:3: tokens is '-5000'; it is at least 0"),
        ("a.csv", b"tokens,seconds\n1,0.1\n2,1\xff\n", r"a.csv:3: byte 0xff is not UTF-8 text"),
        ("a.csv", b"tokens,seconds\n1,0.1,7\n", r"a.csv:2: 3 fields, not 2 as in the header"),
        ("a.csv", b"a,b\n1,2,3\n", r"a.csv:2: 3 fields, not 2 as in the header"),
        ("a.csv", b"tokens,second\n1,0.1\n", r"a.csv:1 has tokens, second; needed: tokens, seconds"),
        ("a.csv", b"tokens,seconds\n", r"/a.csv holds no measurements"),
        ("a.csv", b"", r"/a.csv holds no measurements"),
        ("a.jsonl", b'{"tokens": 1, "seconds": 1}\n{"tokens": 1\n', r"a.jsonl:2: not JSON"),
        ("a.jsonl", b'{"tokens": 1, "seconds": 1}\n{"tokens": \xff}\n', r"a.jsonl:2: byte 0xff is not UTF-8 text"),
        ("a.jsonl", b'{"tokens": 1, "seconds": 1}\n{"tokens": 1, "seconds": 1e999}', r"a.jsonl:2: seconds is inf"),
        ("a.jsonl", b"[1, 2]\n", r"a.jsonl:1: a record is an object, not list"),
        ("a.jsonl", b'{"tokens": 1, "seconds": 1}\n{"tokens": 1}\n', r"a.jsonl:2: there is no 'seconds'"),
    ],
)
def test_a_bad_measurement_is_named(tmp_path: Path, name: str, text: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(DataError, match=message):
        read_measurements(tmp_path / name)


def test_too_few_or_senseless_measurements() -> None:
    with pytest.raises(DataError, match="2 measurements are too few for 2 coefficients: take at least 3"):
        fit(("tokens",), np.ones((2, 1)), np.ones(2))
    with pytest.raises(DataError, match="seconds above 0"):
        fit(("tokens",), np.ones((3, 1)), np.array([1.0, 0.0, 1.0]))


def test_a_live_engine_is_measured() -> None:
    time = PrefillTime(base=0.02, per_token=2e-4, chunk=500)

    async def measure() -> list[tuple[int, float]]:
        async with served(FakeEngine(FakeSettings(2, time)).app) as (url, _):
            return await asyncio.to_thread(lambda: list(probe(url, "fake", [100, 250, 500], repeats=3)))

    pairs = np.array(asyncio.run(measure()))
    found = fit(("tokens",), pairs[:, :1], pairs[:, 1])
    assert found.n == 9
    assert found.slopes[0] == pytest.approx(2e-4, rel=0.25)
    assert 0.02 < found.base < 0.06, "what the way there and back takes is measured with it"


def test_every_prompt_of_every_probe_begins_otherwise() -> None:
    """Else an engine with a prefix cache would be measured by what it need not compute."""
    prompts: list[str] = []

    class Engine(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompts.append(body["prompt"])
            answer = json.dumps({"usage": {"prompt_tokens": len(body["prompt"].split())}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        pairs = [pair for _ in range(2) for pair in probe(f"http://127.0.0.1:{server.server_port}", "m", [10, 20])]
        server.shutdown()
    assert [tokens for tokens, _ in pairs] == [10, 20] * 6
    assert len({prompt[:12] for prompt in prompts}) == 12


def test_nobody_there_to_measure() -> None:
    with pytest.raises(EngineError, match=r"http://127\.0\.0\.1:9/v1/completions cannot be measured: ConnectError"):
        list(probe("http://127.0.0.1:9", "fake", [10]))
