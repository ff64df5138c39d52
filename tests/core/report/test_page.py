"""The page as a browser draws it. Skipped where there is no Chromium."""

import shutil
import subprocess
from pathlib import Path

import pytest

from espalier.core.report import blocks as b
from espalier.core.run import Run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--window-size=1200,2000",
    "--virtual-time-budget=5000",
    "--dump-dom",
)
POKE = "const poke = () => document.querySelector('.curve') ? run() : setTimeout(poke, 20);"
EVIL = "</script><img src=x onerror=\"document.title='owned'\">"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def drawn(run: Run, profile: Path, script: str = "") -> str:
    """The page's elements after it has drawn itself and `script` has run."""
    assert CHROMIUM is not None
    poked = run.path / "poked.html"
    html = (run.path / "report.html").read_text()
    once_drawn = f"{POKE} function run() {{{script}}} poke();"
    poked.write_text(html.replace("</body>", f"<script>{once_drawn}</script></body>"))
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", poked.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path, job="toy.train", name="toy")
    for step in range(1, 101):
        run.metrics.log(step, {"reward": step % 7, "eval": 0.5, "eval_lo": 0.4, "eval_hi": 0.6, "time/x": 1.0})
    passages = [b.Passage("user", [EVIL]), b.Passage("assistant", ["good", "bad"], {"advantage": [1.0, -1.0]})]
    samples = [b.Sample("k", passages, correct=True), b.Sample("l", passages, correct=False)]
    with run:
        run.report(
            [
                b.Curves("Reward", ["reward"], references=[b.Reference("target", 5.0)]),
                b.Curves("Accuracy", ["eval"], percent=True),
                b.Shares("Shares", ["reward", "eval"]),
                b.Timing("Time"),
                b.Table("Table", ["name", "value"], [["x", 1], ["y", 2]]),
                b.Samples("Samples", {"before": samples, "after": samples}, "advantage"),
            ]
        )
        run.finish({"accuracy_before": 0.25, "accuracy_after": 0.75})
    return run


def test_every_block_is_drawn(run: Run, tmp_path: Path) -> None:
    page = drawn(run, tmp_path)
    assert page.count('class="curve"') == 2
    assert page.count('class="band"') == 1
    assert page.count('class="area"') == 2
    assert "target 5" in page
    assert "75%" in page
    assert "from 25%" in page
    assert page.count('class="sample-row"') == 2
    assert page.count('class="token"') == 2
    assert "--positive" in page
    assert "--negative" in page
    assert "<img" not in page.partition("<script")[0]
    assert "owned" not in page.partition("</title>")[0]


def test_filter_smoothing_and_sorting_work(run: Run, tmp_path: Path) -> None:
    script = """
      const change = (node, value, kind) => { node.value = value; node.dispatchEvent(new Event(kind)); };
      change(document.querySelector("nav input"), 0.9, "input");
      change(document.querySelector("[aria-label='Filter samples']"), "false", "change");
      document.querySelectorAll("th button")[1].click();
    """
    page = drawn(run, tmp_path, script)
    assert page.count('class="raw"') == 1, "the smoothed curve keeps its raw one, a curve with a band stays as it is"
    assert page.count('class="sample-row"') == 1
    assert page.index("<td>y</td>") < page.index("<td>x</td>")
