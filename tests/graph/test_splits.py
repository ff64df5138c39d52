"""Splits: sizes that make no sense are refused, and nobody is judged by nodes that cannot be told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import random_graph
from hypothesis import given
from hypothesis import strategies as st

from espalier import graph
from espalier.cli.main import main
from espalier.core.errors import ConfigError, DataError
from espalier.graph.config import DataConfig
from espalier.graph.data.graph import Graph
from espalier.graph.data.npz import write_npz
from espalier.graph.data.splits import PARTS, check_split, per_class_split, random_split
from espalier.graph.tasks.links import split_links
from espalier.graph.tasks.neighbours import cluster
from espalier.graph.tasks.svm import svm_accuracy

NAN, INF = float("nan"), float("inf")
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"split": "random", "train": -0.1}, "train: -0.1 is not a share between 0 and 1"),
    ({"split": "random", "train": 0}, "train: 0 is not a share"),
    ({"split": "random", "train": 1.5}, "train: 1.5 is not a share"),
    ({"split": "random", "train": 20, "val": 30}, "train: 20 is not a share"),
    ({"split": "random", "train": 0.6, "val": 0.5}, "leave no node to test on"),
    ({"split": "random", "train": 0.9}, "shares of 0.9 to train on and 0.1 to validate on leave no node"),
    ({"split": "random", "val": 0}, "val: 0 is not a share"),
    ({"split": "random", "train": NAN}, r"train: nan is not a number|'train' must be a finite number"),
    ({"split": "random", "val": INF}, r"val: inf is not a number|'val' must be a finite number"),
    ({"split": "per_class", "train": 0.1}, "train: 0.1 is not a whole number of nodes"),
    ({"split": "per_class", "train": 20.5}, "train: 20.5 is not a whole number"),
    ({"split": "per_class", "val": -3}, "val: -3 is not a whole number"),
    ({"split": "per_class", "val": NAN}, r"val: nan is not a number|'val' must be a finite number"),
    ({"train": 0.5}, "the public split has its own"),
]


@pytest.mark.parametrize(("section", "message"), WRONG)
def test_sizes_that_make_no_sense_are_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DataConfig.of(name="Cora", **section)
    if "split" in section:
        draw = random_split if section["split"] == "random" else per_class_split
        with pytest.raises(DataError, match=message):
            draw(random_graph(200), 0, **{key: value for key, value in section.items() if key != "split"})


def test_each_kind_of_split_has_its_own_sizes() -> None:
    assert DataConfig.of(name="x", split="random").shares == (0.1, 0.1)
    assert DataConfig.of(name="x", split="per_class").shares == (20, 30)
    assert DataConfig.of(name="x", split="per_class", train=5).shares == (5, 30)


def test_parts_that_come_out_empty_are_refused() -> None:
    few = random_graph(30)
    with pytest.raises(DataError, match="its split has no train nodes"):
        random_split(few, 0, 0.01, 0.5)
    with pytest.raises(DataError, match="its split has no val nodes"):
        random_split(few, 0, 0.5, 0.01)
    with pytest.raises(DataError, match="its split has no test nodes"):
        random_split(few, 0, 0.5, 0.495)
    rare = replace(random_graph(200), y=torch.where(torch.arange(200) == 7, 3, torch.arange(200) % 3))
    with pytest.raises(DataError, match="class 3 has no training node: use a larger share"):
        [random_split(rare, seed, 0.1, 0.1) for seed in range(3)]


def masks(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    part = torch.arange(30) % 4
    return {"train": part < 2, "val": part == 2, "test": part == 3, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {}}, "without a public split"),
        ({"splits": {"train": torch.ones(30, dtype=torch.bool)}}, "without a public split"),
        ({"splits": masks(val=torch.arange(30) % 4 == 3)}, "node 3 is among the val nodes and the test nodes"),
        ({"splits": masks(test=torch.zeros(30, dtype=torch.bool))}, "no test nodes"),
        ({"splits": masks(train=torch.arange(5))}, r"the mask 'train' is torch.int64 of \(5,\)"),
        ({"y": torch.full((30,), -1)}, "node 0 is one of the train nodes, but has no label"),
        ({"y": torch.zeros(30, dtype=torch.int64)}, "all nodes of its split are of one class"),
        ({"y": torch.arange(30)}, "class 2 has no training node"),
        ({"y": None}, "has no node labels"),
    ],
)
def test_splits_that_teach_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    one = replace(random_graph(), **changes)
    with pytest.raises(DataError, match=message):
        check_split(one)
    with pytest.raises(DataError, match=message):
        graph.probe(torch.ones(30, 2), one)


def test_a_probe_of_what_is_not_finite_is_refused() -> None:
    one = random_graph()
    z = torch.ones(30, 2)
    z[3, 1] = NAN
    with pytest.raises(DataError, match=r"embeddings \(30, 2\) for 30 labels: one finite row"):
        graph.probe(z, one)
    with pytest.raises(ConfigError, match="a probe of 0 epochs learns nothing"):
        graph.probe(torch.ones(30, 2), one, epochs=0)


def test_tasks_say_what_they_need() -> None:
    z = torch.cat([torch.zeros(9, 2), torch.ones(9, 2) + torch.arange(18.0).view(9, 2) / 100])
    with pytest.raises(DataError, match="10 graphs of each of two classes or more; there are 9, 9"):
        svm_accuracy(z, torch.arange(18) // 9)
    y = torch.tensor([2] * 9 + [7] * 8 + [-1])  # two classes, though one of them is called 7; one node unknown
    assert cluster(z, y) == (1.0, 1.0, 1.0)
    with pytest.raises(DataError, match="labels of two classes or more; there are 1"):
        cluster(z, torch.zeros(18, dtype=torch.int64))


def test_held_out_links_are_some() -> None:
    one = random_graph()
    for shares in ((-0.1, 0.1), (0.6, 0.5), (0.0, 0.1), (NAN, 0.1)):
        with pytest.raises(DataError, match="cannot be held out"):
            split_links(one, 0, *shares)
    with pytest.raises(DataError, match="edges are too few to hold out"):
        split_links(random_graph(10, 6), 0)


def test_a_recipe_whose_shares_make_no_sense_ends_with_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_npz(random_graph(60), tmp_path / "g.npz")
    text = f"job: graph.pretrain\nname: s\ndata: {{name: {tmp_path / 'g.npz'}, split: random}}\nfit: {{epochs: 0}}\n"
    (tmp_path / "r.yaml").write_text(text)
    for word, message in (("data.train=1.5", "not a share between 0 and 1"), ("data.train=0.001", "no train nodes")):
        assert main(["run", str(tmp_path / "r.yaml"), f"--runs-dir={tmp_path / 'runs'}", word, "data.val=0.2"]) == 2
        assert message in " ".join(capsys.readouterr().err.split())


@given(st.integers(20, 60), st.integers(0, 3), st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_a_random_split_teaches_every_class_or_is_refused(n: int, seed: int, train: float, val: float) -> None:
    one: Graph = random_graph(n)
    try:
        parts = random_split(one, seed, train, val)
    except DataError:
        return
    assert all(bool(parts[name].any()) for name in PARTS)
    assert torch.equal(sum(parts[name].int() for name in PARTS), torch.ones(n, dtype=torch.int32))
    assert set(one.y[parts["train"]].tolist()) == {0, 1, 2}
