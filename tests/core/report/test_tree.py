"""Searched trees in a report: in the file, in what is shown, and as the page's script draws them."""

import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from espalier.core.io.jsonlines import JsonLines
from espalier.core.report.rollouts import Answer, Branch, RolloutGroup, Spoken, as_line, read_rollouts, rollout_sets

TREE = [
    Branch("2+3", -1, 0.5, 2, credit=0.0),
    Branch("=5", 0, 1.0, 1, credit=0.5, answer=0),
    Branch("=6", 0, 0.0, 1, surprisal=2.5, answer=1),
]
GROUP = RolloutGroup(
    1,
    "k",
    "2+3",
    [Spoken("user", "2+3=")],
    [Answer([Spoken("assistant", text)]) for text in ("2+3=5", "2+3=6")],
    tree=TREE,
)
PLAIN = RolloutGroup(1, "l", "1+1", [Spoken("user", "1+1=")], [Answer([Spoken("assistant", "2")])])
NODE = shutil.which("node")
DOCUMENT = """
class Node {
  constructor(tag) { this.tag = tag; this.attributes = {}; this.children = []; this.listeners = {}; }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  addEventListener(name, call) { this.listeners[name] = call; }
  append(...children) { this.children.push(...children); }
  text() { return this.children.map((c) => (typeof c === "string" ? c : c.text())).join(" "); }
  all(test) {
    const below = this.children.filter((c) => c instanceof Node).flatMap((c) => c.all(() => true));
    return [this, ...below].filter(test);
  }
}
const document = {
  createElement: (tag) => new Node(tag),
  createElementNS: (_, tag) => new Node(tag),
  addEventListener() {},
  body: new Node("body"),
  documentElement: new Node("html"),
};
const window = { addEventListener() {}, matchMedia: () => ({ matches: false, addEventListener() {} }) };
const getComputedStyle = () => ({ getPropertyValue: () => "" });
class ResizeObserver { observe() {} }
"""
"""What the scripts need of a browser to make elements."""


def shown(tmp_path: Path) -> dict:
    lines = JsonLines(tmp_path / "r.jsonl")
    for group in (PLAIN, GROUP):
        lines.append(as_line(group))
    assert read_rollouts(lines.path) == [PLAIN, GROUP]
    (found,) = rollout_sets(lines.path)["sets"]
    return found


def test_a_sample_knows_where_it_is_in_the_tree_of_its_group(tmp_path: Path):
    found = shown(tmp_path)
    assert found["trees"][0] == []
    assert found["trees"][1][2] == {
        "text": "=6",
        "parent": 0,
        "value": 0.0,
        "leaves": 1,
        "credit": None,
        "surprisal": 2.5,
    }
    places = [(sample["key"], sample.get("tree"), sample.get("leaf")) for sample in found["samples"]]
    assert places == [("l/0", None, None), ("k/0", 1, 1), ("k/1", 1, 2)]


def test_without_a_search_nothing_of_a_tree_is_said(tmp_path: Path):
    lines = JsonLines(tmp_path / "r.jsonl")
    lines.append(as_line(PLAIN))
    (found,) = rollout_sets(lines.path)["sets"]
    assert "trees" not in found
    assert "tree" not in found["samples"][0]


@pytest.mark.skipif(NODE is None, reason="no node on this machine")
def test_the_script_draws_branches_values_and_surprisals_and_chooses_leaves(tmp_path: Path):
    source = resources.files("espalier.core.report")
    scripts = "\n".join(source.joinpath(name).read_text("utf-8") for name in ("tools.js", "tree.js"))
    check = """
    const set = JSON.parse(process.argv[2]);
    const chosen = [];
    const drawn = treeView(set, set.samples[2], (key) => chosen.push(key));
    const buttons = drawn.all((n) => n.tag === "button");
    buttons[0].listeners.click();
    console.log(JSON.stringify({
      text: drawn.text(),
      depth: drawn.all((n) => n.tag === "ul").length,
      path: drawn.all((n) => n.attributes.class === "segment chosen").map((n) => n.text()),
      current: buttons.map((b) => b.attributes["aria-current"] ?? null),
      chosen,
    }));
    """
    assert NODE is not None
    program = tmp_path / "check.js"
    program.write_text(DOCUMENT + scripts + check)
    done = subprocess.run([NODE, program, json.dumps(shown(tmp_path))], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "tree: 2 leaves, 1 branches" in found["text"]
    assert "⑂ 2.5 nats" in found["text"]
    assert found["path"] == ["2+3 0.5 +0", "=6 ⑂ 2.5 nats 0"]
    assert found["current"] == [None, "true"]
    assert found["chosen"] == ["k/0"]
