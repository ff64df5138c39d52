import base64
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import RunError
from espalier.core.io.jsonlines import JsonLines
from espalier.core.recipe.provenance import Setting, save_origins
from espalier.core.report import blocks as b
from espalier.core.report.build import build
from espalier.core.report.content import embed
from espalier.core.report.rollouts import Answer, RolloutGroup, Spoken, as_line
from espalier.core.run.run import Run

EVIL = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> &amp; \u2028 ]]>"


class Page(HTMLParser):
    """Elements of a page, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "script":
            self.scripts.append("")
        self._inside = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.scripts[0])
        return content


def page_of(run: Run) -> Page:
    return Page((run.path / "report.html").read_text())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, job="toy.train", name="toy", config={"text": EVIL})


def all_blocks() -> list[b.Block]:
    passages = [
        b.Passage("user", [EVIL]),
        b.Passage("assistant", ["a", EVIL], {"advantage": [0.5, None], "logprob": [-1.0, float("nan")]}),
    ]
    return [
        b.Curves("Accuracy", ["eval/*"], references=[b.Reference("published", 0.5)], percent=True),
        b.Shares("Shares", ["reward/*"]),
        b.Timing("Time"),
        b.Table("Table", ["a", EVIL], [[1, "x"], [0.123456789, None]]),
        b.Image("Image", "artefacts/dot.png"),
        b.Text("Text", f"one\n\n`two` {EVIL}"),
        b.Samples("Samples", {"before": [b.Sample("k", passages, correct=True, facts={"reward": 1.0})]}, "advantage"),
    ]


def test_one_file_without_links_that_holds_everything(run: Run) -> None:
    for step in range(1, 5):
        run.metrics.log(step, {"eval/a": 0.1 * step, "eval/a_lo": 0.05 * step, "eval/a_hi": 0.2 * step})
        run.metrics.log(step, {"reward/x": 1.0, "reward/y": -3.0, "time/train": 2.0})
    run.artefact("dot.png").write_bytes(b"\x89PNG")
    with run:
        run.report(all_blocks())
        run.finish({"accuracy": 0.4})
    page = page_of(run)
    assert page.links == []
    assert page.tags.count("script") == 3, "text of the run must not become markup"
    assert "img" not in page.tags
    content = page.content
    assert content["status"] == "finished"
    assert content["figures"]["accuracy"] == 0.4
    curves, shares, timing, table, image, text, samples = content["blocks"]
    assert curves["series"] == [
        {
            "label": "eval/a",
            "steps": [1, 2, 3, 4],
            "seconds": [0.0] * 4,
            "values": [0.1, 0.2, 0.3, 0.4],
            "lo": [0.05, 0.1, 0.15, 0.2],
            "hi": [0.2, 0.4, 0.6, 0.8],
        }
    ]
    assert shares["series"][1] == {"label": "reward/y", "values": [3.0] * 4}
    assert timing["parts"] == [["time/train", 8.0]]
    assert table["rows"] == [[1, "x"], [0.12346, None]]
    assert base64.b64decode(image["source"].partition(",")[2]) == b"\x89PNG"
    assert text["text"].endswith(EVIL)
    (sample,) = samples["sets"][0]["samples"]
    assert sample["passages"][1]["pieces"] == ["a", EVIL]
    assert sample["passages"][1]["values"] == {"advantage": [0.5, None], "logprob": [-1.0, None]}


def test_it_is_rebuilt_from_the_folder_alone_while_the_run_goes_on_or_after_it_was_killed(run: Run) -> None:
    for name in ("loss", "eval/a", "time/train"):
        run.metrics.log(1, {name: 1.0})
    build(run.path)
    running = page_of(run).content
    assert running["status"] == "running"
    assert [(block["kind"], block["title"]) for block in running["blocks"]] == [
        ("curves", "loss"),
        ("curves", "eval"),
        ("timing", "Time"),
    ]
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "torn')
    run.metrics.close()
    run._lock.close()
    build(run.path)
    assert page_of(run).content["status"] == "killed"


def test_blocks_survive_their_file(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    b.save(all_blocks()[:6], file)
    first = b.load(file)
    b.save(first, file)
    assert b.load(file) == first
    assert [block.kind for block in first] == ["curves", "shares", "timing", "table", "image", "text"]


def test_what_is_missing_is_shown_as_missing(run: Run) -> None:
    run.report([b.Curves("Nothing", ["no/*"]), b.Image("None", "artefacts/none.png"), b.Timing("No time")])
    curves, image, timing = page_of(run).content["blocks"]
    assert (curves["series"], image["source"], timing["parts"]) == ([], None, [])


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        build(tmp_path)


@given(st.text())
def test_embedded_text_reads_back_and_cannot_leave_its_element(text: str) -> None:
    embedded = embed({"a": text})
    assert json.loads(embedded) == {"a": text}
    assert not re.search("[<>&\u2028\u2029]", embedded)


def test_hostile_text_in_rollouts_warnings_settings_and_metrics_is_only_text(run: Run) -> None:
    run.metrics.log(1, {EVIL: 1.0, "eval/avg": 0.5, "count": 2.0})
    run.metrics.log(2, {EVIL: 2.0, "eval/avg": 0.25, "count": 0.0})
    run.warn(EVIL, 1)
    answer = Answer([Spoken(EVIL, EVIL)], {EVIL: EVIL}, correct=True)
    JsonLines(run.artefact("r.jsonl")).append(as_line(RolloutGroup(1, EVIL, EVIL, [Spoken("user", EVIL)], [answer])))
    save_origins([Setting(EVIL, EVIL, EVIL, EVIL, EVIL)], run.path / "origins.json")
    blocks = [b.Headline(EVIL, "eval/avg"), b.Counted(EVIL, "count"), b.Rollouts(EVIL, "artefacts/r.jsonl")]
    with run:
        run.report(blocks)
        run.finish({"accuracy": 1.0})
    page = page_of(run)
    assert (page.links, page.tags.count("script"), page.tags.count("img")) == ([], 3, 0)
    content = page.content
    assert content["warnings"] == [
        {"step": 1, "text": EVIL},
        {"step": 1, "text": f"{EVIL}: in 1 step (metric count)"},
    ]
    assert content["headlines"][0] | {"lo": 0, "hi": 0} == {
        "title": EVIL,
        "percent": True,
        "before": 0.5,
        "after": 0.25,
        "lo": 0,
        "hi": 0,
        "verdict": "fell",
        "good": False,
    }
    assert content["origins"][0]["value"] == EVIL
    assert content["metrics"]["series"][EVIL] == [0, [1.0, 2.0]]
    (rollouts,) = content["blocks"]
    assert rollouts["kind"] == "samples"
    assert rollouts["sets"][0]["samples"][0]["passages"][1] == {"role": EVIL, "pieces": [EVIL], "values": {}}


def test_the_report_of_a_long_run_stays_small(run: Run) -> None:
    """2,000 steps of 60 metrics and their answers: megabytes, not tens of them, or it would not open in a second."""
    lines = JsonLines(run.artefact("r.jsonl"))
    answers = [Answer([Spoken("assistant", "x" * 400)], {"reward": 1.0}) for _ in range(8)]
    for step in range(1, 2001):
        run.metrics.log(step, {f"m/{i}": (step * 0.137 + i) % 1.0 for i in range(60)})
        lines.append(as_line(RolloutGroup(step, "k", "t", [Spoken("user", "q")], answers)))
    run.report([b.Curves("All", ["m/*"]), b.Rollouts("Rollouts", "artefacts/r.jsonl")])
    assert (run.path / "report.html").stat().st_size < 5_000_000
