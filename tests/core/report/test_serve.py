"""The page that follows a run, over its socket."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from espalier.core.report.serve import HOST, NEWS, serve
from espalier.core.run.run import Run
from espalier.core.sockets import listening

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path, job="toy.train", name="toy", config={"text": EVIL})
    run.metrics.log(1, {"reward": 0.5})
    return run


@pytest.fixture
def port(run: Run) -> int:
    taken = listening(HOST, 0)
    taken.listen()
    thread = threading.Thread(target=serve, args=(run.path, taken), daemon=True)
    thread.start()
    number: int = taken.getsockname()[1]
    return number


def get(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    """Status, ETag and body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers.get("ETag") or "", answer.read().decode()


def test_the_news_change_with_the_files_and_with_them_alone(run: Run, port: int) -> None:
    status, tag, body = get(port, NEWS)
    assert (status, json.loads(body)["status"], json.loads(body)["steps"]) == (200, "running", 1)
    assert get(port, NEWS, **{"If-None-Match": tag}) == (304, tag, "")
    run.metrics.log(2, {"reward": 0.75})
    status, newer, body = get(port, NEWS, **{"If-None-Match": tag})
    assert (status, newer != tag, json.loads(body)["steps"]) == (200, True, 2)
    with run:
        run.finish({"accuracy": 1.0})
    status, _, body = get(port, NEWS, **{"If-None-Match": newer})
    assert (json.loads(body)["status"], json.loads(body)["figures"]["accuracy"]) == ("finished", 1.0)


def test_the_page_asks_its_own_server_and_no_other(port: int) -> None:
    status, _, body = get(port, "/")
    assert status == 200
    assert "connect-src 'self'" in body
    assert f'<script type="application/json" id="poll">"{NEWS}"</script>' in body
    assert EVIL not in body


def test_other_names_other_paths_and_broken_files_are_refused(run: Run, port: int) -> None:
    assert get(port, "/", Host="evil.example")[0] == 403
    assert get(port, "/", Host=f"localhost:{port}")[0] == 200
    assert get(port, "/../config.yaml")[0] == 404
    assert get(port, "/metrics.jsonl")[0] == 404
    (run.path / "report.json").write_text("{")
    status, _, body = get(port, NEWS)
    assert status == 503
    assert "report.json" in body


def test_the_command_serves_until_ctrl_c(run: Run) -> None:
    command = [sys.executable, "-m", "espalier", "report", str(run.path), "--serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "Ctrl-C ends it" in line, line
    port = int(line.partition(f"http://{HOST}:")[2].split()[0])
    assert get(port, "/")[0] == 200
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    assert process.wait(timeout=10) == 0
    assert time.monotonic() - begun < 5
    assert process.stdout.read() == ""
