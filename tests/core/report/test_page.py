"""The page as a browser draws it. Skipped where there is no Chromium."""

import shutil
import subprocess
from pathlib import Path

import pytest

from espalier.core.io.jsonlines import JsonLines
from espalier.core.recipe.provenance import Setting, save_origins
from espalier.core.report import blocks as b
from espalier.core.report.rollouts import Answer, RolloutGroup, Spoken, as_line
from espalier.core.run.run import Run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--virtual-time-budget=5000",
    "--dump-dom",
)
POKE = "const poke = () => document.querySelector('.curve') ? run() : setTimeout(poke, 20);"
EVIL = "</script><img src=x onerror=\"document.title='owned'\">"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def drawn(run: Run, profile: Path, script: str = "", width: int = 1200) -> str:
    """The page's elements after it has drawn itself and `script` has run."""
    assert CHROMIUM is not None
    poked = run.path / "poked.html"
    html = (run.path / "report.html").read_text()
    once_drawn = f"{POKE} function run() {{{script}}} poke();"
    poked.write_text(html.replace("</body>", f"<script>{once_drawn}</script></body>"))
    command = [CHROMIUM, *FLAGS, f"--window-size={width},2000", f"--user-data-dir={profile}", poked.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path, job="toy.train", name="toy")
    for step in range(1, 101):
        run.metrics.log(step, {"reward": step % 7, "eval": 0.5, "eval_lo": 0.4, "eval_hi": 0.6, "time/x": 1.0})
        run.metrics.log(step, {"fall": 1.0 - step / 200})
    passages = [b.Passage("user", [EVIL]), b.Passage("assistant", ["good", "bad"], {"advantage": [1.0, -1.0]})]
    samples = [b.Sample("k", passages, correct=True), b.Sample("l", passages, correct=False)]
    rollouts = JsonLines(run.artefact("r.jsonl"))
    for step in range(1, 9):
        answer = Answer([Spoken("assistant", f"said {step}")], {"reward": 0.5})
        rollouts.append(as_line(RolloutGroup(step, "k", EVIL, [Spoken("user", EVIL)], [answer])))
    run.warn(EVIL, 7)
    save_origins(
        [Setting("rate", 2, "override rate=2", 1, 3), Setting("same", 1, "a.yaml:3", 1, differs=False)],
        run.path / "origins.json",
    )
    with run:
        run.report(
            [
                b.Curves("Reward", ["reward"], references=[b.Reference("target", 5.0)]),
                b.Curves("Accuracy", ["eval"], percent=True),
                b.Shares("Shares", ["reward", "eval"]),
                b.Timing("Time"),
                b.Table("Table", ["name", "value"], [["x", 1], ["y", 2]]),
                b.Samples("Samples", {"before": samples, "after": samples}, "advantage"),
                b.Rollouts("Rollouts", "artefacts/r.jsonl"),
                b.Headline("fallen", "fall"),
            ]
        )
        run.finish({"accuracy_before": 0.25, "accuracy_after": 0.75})
    return run


def test_every_block_is_drawn(run: Run, tmp_path: Path) -> None:
    page = drawn(run, tmp_path)
    assert page.count('class="curve"') == 3, "two cards, and the metric that is chosen at first"
    assert page.count('class="band"') == 1
    assert page.count('class="area"') == 2
    assert "target 5" in page
    assert "75%" in page
    assert "from 25%" in page
    assert page.count('class="sample-row"') == 3
    assert "said 8" in page, "the last step of the rollouts is shown first"
    assert 'class="figure bad"' in page
    assert "fell, from 99.5%" in page
    assert "1 warning<" in page
    assert page.count('class="overridden"') == 1
    assert "<td>same</td>" not in page, "what equals its default is shown when it is asked for"
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
    assert page.count('class="raw"') == 2, "the card's and the chosen metric's; a curve with a band stays"
    assert page.count('class="sample-row"') == 2, "one wrong sample, and one of the rollouts"
    assert page.index("<td>y</td>") < page.index("<td>x</td>")


def test_a_step_a_metric_and_all_settings_can_be_chosen(run: Run, tmp_path: Path) -> None:
    script = """
      const change = (node, value, kind) => { node.value = value; node.dispatchEvent(new Event(kind)); };
      change(document.querySelector("[aria-label='Set of samples']"), 2, "input");
      change(document.querySelector("[aria-label='Metric']"), "time/x", "change");
      const all = document.querySelector(".settings").closest("section").querySelector("input");
      all.checked = true; all.dispatchEvent(new Event("change"));
    """
    page = drawn(run, tmp_path, script)
    assert "said 3" in page
    assert 'aria-label="time/x: time/x"' in page
    assert "<td>same</td>" in page
    assert "owned" not in page.partition("</title>")[0]


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_is_wider_than_the_window(run: Run, tmp_path: Path, width: int) -> None:
    script = "document.title = `${document.documentElement.scrollWidth <= innerWidth} at ${innerWidth}`;"
    title = drawn(run, tmp_path, script, width=width).partition("<title>")[2].partition("</title>")[0]
    assert title.startswith("true at ")


def test_the_news_are_shown_in_place(run: Run, tmp_path: Path) -> None:
    script = """
      const content = JSON.parse(document.getElementById("content").textContent);
      document.querySelector("[aria-label='Metric']").value = "fall";
      document.querySelector("[aria-label='Metric']").dispatchEvent(new Event("change"));
      const before = document.querySelector(".samples");
      content.blocks[0].series[0].values[3] = 99;
      content.status = "failed";
      page.show(content);
      const same = before === document.querySelector(".samples");
      document.title = `${same},${document.querySelector("[aria-label='Metric']").value}`;
    """
    shown = drawn(run, tmp_path, script)
    assert "<title>true,fall</title>" in shown
    assert 'class="pill failed"' in shown


def test_parts_of_an_answer_are_coloured_by_the_version_that_sampled_them(tmp_path: Path) -> None:
    run = Run.create(tmp_path, job="toy.train", name="toy")
    answer = Answer([Spoken("assistant", "old new", [(3, 4), (4, 3)])], {"reward": 0.5})
    JsonLines(run.artefact("r.jsonl")).append(as_line(RolloutGroup(1, "k", "asked", [], [answer], version=5)))
    run.metrics.log(1, {"reward": 1.0})
    with run:
        run.report([b.Curves("Reward", ["reward"]), b.Rollouts("Rollouts", "artefacts/r.jsonl")])
    page = drawn(run, tmp_path)
    assert page.count('class="token"') == 2
    assert page.index("version 4, lag 1") < page.index("version 3, lag 2"), "the newest first"
    assert "var(--series-1) 40%" in page
    assert "var(--series-2) 40%" in page
