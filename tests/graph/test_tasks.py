"""How embeddings are judged, on embeddings whose judgement is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from graphs import random_graph

from espalier.core.errors import DataError
from espalier.graph.tasks.fewshot import few_shot
from espalier.graph.tasks.links import probe_links, rank_links, split_links
from espalier.graph.tasks.logistic import logistic_probe
from espalier.graph.tasks.neighbours import cluster, knn_accuracy
from espalier.graph.tasks.probe import linear_probe
from espalier.graph.tasks.statistics import summary
from espalier.graph.tasks.svm import pool, svm_accuracy


@pytest.fixture
def separable() -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(300) % 3
    z = 4.0 * torch.eye(8)[y] + torch.randn(300, 8, generator=generator)
    part = torch.arange(300) // 3 % 10
    return z, y, {"train": part < 2, "val": part == 2, "test": part > 2}


def test_probes_see_what_is_there_and_no_more(
    separable: tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]],
) -> None:
    z, y, splits = separable
    assert linear_probe(z, y, splits, lr=0.1).early > 0.95
    assert logistic_probe(z, y, splits).early > 0.95
    assert knn_accuracy(z, y, splits) > 0.95
    found = cluster(z, y)
    assert found.accuracy > 0.95
    assert found.nmi > 0.8
    noise = torch.randn(300, 8, generator=torch.Generator().manual_seed(1))
    for accuracy in (linear_probe(noise, y, splits).early, logistic_probe(noise, y, splits).early):
        assert accuracy < 0.45
    assert cluster(noise, y).nmi < 0.1


def test_the_probe_reports_the_best_validation_epoch() -> None:
    z, y = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), torch.tensor([0, 1, 0, 1])
    masks = {
        name: torch.arange(4) < 2 if name == "train" else torch.arange(4) >= 2 for name in ("train", "val", "test")
    }
    found = linear_probe(z, y, masks, lr=0.5, epochs=20)
    assert found == (1.0, 1.0, 1.0)
    assert linear_probe(z, y, masks, seed=3) == linear_probe(z, y, masks, seed=3)


def test_pooling() -> None:
    graph = replace(random_graph(4), ptr=torch.tensor([0, 1, 4]))
    z = torch.tensor([[1.0, -2.0], [1.0, 2.0], [3.0, -1.0], [5.0, 0.0]])
    assert pool(z, graph, "mean").tolist() == [[1.0, -2.0], [3.0, pytest.approx(1 / 3)]]
    assert pool(z, graph, "sum").tolist() == [[1.0, -2.0], [9.0, 1.0]]
    assert pool(z, graph, "max").tolist() == [[1.0, -2.0], [5.0, 2.0]]


def test_the_svm_over_ten_folds() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(100) % 2
    x = torch.randn(100, 5, generator=generator)
    assert svm_accuracy(x + 3.0 * y.unsqueeze(1), y) > 0.97
    assert svm_accuracy(x, y) < 0.65


def test_held_out_links_are_invisible_and_balanced() -> None:
    graph = random_graph(80, 400)
    links = split_links(graph, 0)
    total = graph.adj.nnz // 2
    assert links.test.shape[1] == round(0.1 * total) == links.test_not.shape[1]
    visible = set(zip(links.graph.adj.rows.tolist(), links.graph.adj.columns.tolist(), strict=True))
    every = set(zip(graph.adj.rows.tolist(), graph.adj.columns.tolist(), strict=True))
    for pairs in (links.val, links.test):
        assert not visible & set(zip(*pairs.tolist(), strict=True))
        assert set(zip(*pairs.tolist(), strict=True)) <= every
    for pairs in (links.val_not, links.test_not):
        assert not every & set(zip(*pairs.tolist(), strict=True))
    assert len(visible) == 2 * links.train.shape[1]
    dense = torch.zeros(80, 80)
    dense[graph.adj.rows, graph.adj.columns] = 1.0
    _, vectors = torch.linalg.eigh(dense @ dense)
    assert rank_links(torch.randn(80, 8), links.test, links.test_not).auc < 0.8
    assert probe_links(vectors[:, -20:], links, 0).auc > 0.5


def test_ranking_by_hand() -> None:
    z = torch.tensor([[1.0], [2.0], [-1.0], [0.5]])
    edges, absent = torch.tensor([[0, 0], [1, 3]]), torch.tensor([[0, 1], [2, 3]])  # scores 2, .5 against -1, 1
    found = rank_links(z, edges, absent)
    assert found.auc == pytest.approx(0.75)
    assert found.ap == pytest.approx(0.5 * (1 / 1) + 0.5 * (2 / 3))


def test_few_shot_episodes() -> None:
    y = torch.arange(600) % 6
    z = torch.eye(6)[y] + 0.05 * torch.randn(600, 6, generator=torch.Generator().manual_seed(0))
    assert few_shot(z, y, episodes=20).mean() > 0.99
    noise = few_shot(torch.randn(600, 6, generator=torch.Generator().manual_seed(0)), y, episodes=200)
    assert abs(float(noise.mean()) - 0.2) < 0.02
    assert torch.equal(few_shot(z, y, episodes=5, seed=1), few_shot(z, y, episodes=5, seed=1))
    with pytest.raises(DataError, match="but 7 are needed"):
        few_shot(z, y, ways=7)


def test_statistics_by_hand() -> None:
    assert summary([0.8, 0.9]) == (pytest.approx(0.85), pytest.approx(0.05), 2)
    assert str(summary([0.8, 0.9])) == "85.00 ± 5.00"
