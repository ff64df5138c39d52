"""The site's own parts: the picture of a run, formulas without a download, and a reference that names what there is."""

import importlib.util
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest

from espalier.core.report.blocks import Passage, Sample, Samples, save

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src"
REFERENCE = sorted(page for page in (DOCS / "reference").glob("*.md") if page.stem != "index")


def script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, DOCS / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path) -> Path:
    lines = [
        {"step": s, "seconds": s, "eval/avg": a, "eval/avg_lo": a - 0.1, "eval/avg_hi": a + 0.1}
        for s, a in ((0, 0.2), (5, 0.4), (10, 0.9))
    ]
    lines += [{"step": s, "seconds": s, "reward/total": s / 10, "len/mean": s, "entropy": 1.0} for s in range(1, 11)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "config.yaml").write_text("job: rl.train\nname: tiny\nseed: 0\n")
    (tmp_path / "result.json").write_text('{"accuracy_before": 0.2, "accuracy_after": 0.9}')
    asked = Passage("prompt", ["1<2?", "<|assistant|>"])
    wrong = Sample("a", [asked, Passage("assistant", ["n", "o"], {"advantage": [-0.5, 1.0]})], correct=False)
    right = Sample("a", [asked, Passage("assistant", ["yes & so"], {"advantage": [0.0]})], correct=True)
    save([Samples("samples", {"before": [wrong], "after": [right]}, colour="advantage")], tmp_path / "report.json")
    return tmp_path


def test_the_picture_shows_the_runs_own_numbers(run: Path) -> None:
    picture = ElementTree.fromstring(script("rl/draw_report.py").draw(run))
    texts = ["".join(node.itertext()) for node in picture.iter() if node.tag.endswith("}text")]
    assert {"tiny", "20.0% → 90.0%", "One held-out problem: 1<2?", "✗", "✓", "n", "o", "yes & so"} <= set(texts)
    accuracy = next(node for node in picture.iter() if node.tag.endswith("}polyline"))
    heights = [float(point.split(",")[1]) for point in accuracy.attrib["points"].split()]
    assert (heights[0] - heights[1]) / (heights[0] - heights[2]) == pytest.approx((0.4 - 0.2) / (0.9 - 0.2), abs=2e-3)


def test_tokens_are_tinted_by_the_size_and_sign_of_their_advantage(run: Path) -> None:
    module = script("rl/draw_report.py")
    picture = ElementTree.fromstring(module.draw(run))
    boxes = [node.attrib for node in picture.iter() if node.tag.endswith("}rect") and "fill-opacity" in node.attrib]
    shades = [(box["fill"], float(box["fill-opacity"])) for box in boxes]
    assert shades == [
        (module.NEGATIVE, pytest.approx(0.225, abs=0.006)),
        (module.POSITIVE, 0.45),
        (module.POSITIVE, 0.0),
    ]


def test_formulas_become_mathml() -> None:
    hook = script("theme/mathml.py")
    page = r'a <span class="arithmatex">\(x &lt; y\)</span> <div class="arithmatex">\[ r_t \]</div>'
    shown = hook.on_page_content(page)
    assert "arithmatex" not in shown
    assert shown.count("<math ") == 2
    assert "&#x0003C;" in shown  # the sign <
    assert 'display="block"' in shown


def test_the_site_loads_nothing_from_elsewhere() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "http" not in config
    assert "font: false" in config


@pytest.mark.parametrize("page", REFERENCE, ids=[page.stem for page in REFERENCE])
def test_reference_names_modules_that_exist(page: Path) -> None:
    modules = re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert modules
    for module in modules:
        assert module.startswith(f"espalier.{page.stem}.")
        assert (SOURCE / module.replace(".", "/")).with_suffix(".py").is_file(), module


def test_every_room_has_a_page_of_reference() -> None:
    rooms = {path.name for path in (SOURCE / "espalier").iterdir() if (path / "__init__.py").is_file()}
    assert {page.stem for page in REFERENCE} == rooms - {"cli"}


def test_every_page_is_in_the_navigation() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert pages == set(re.findall(r": (\S+\.md)$", config, re.MULTILINE))
