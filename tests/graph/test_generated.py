"""The graph that is made, not read."""

from pathlib import Path

import pytest
import torch

from espalier.core.data import DataRoot
from espalier.graph.config import PLANTED, PretrainConfig
from espalier.graph.data.generated import planted_partition
from espalier.graph.data.load import load
from espalier.graph.data.splits import check_split
from espalier.graph.experiment import run_experiment


def test_a_seed_makes_one_graph() -> None:
    one, same, other = planted_partition(seed=1), planted_partition(seed=1), planted_partition(seed=2)
    assert torch.equal(one.adj.indices, same.adj.indices)
    assert isinstance(one.x, torch.Tensor)
    assert isinstance(other.x, torch.Tensor)
    assert torch.equal(one.x, same.x)  # type: ignore[arg-type]
    assert not torch.equal(one.x, other.x)


def test_it_is_what_it_says() -> None:
    graph = planted_partition(nodes=1003, classes=5, degree=6.0, inside=0.5)
    check_split(graph)
    assert graph.y is not None
    assert [int((graph.splits[part]).sum()) for part in ("train", "val", "test")] == [100, 150, 753]
    assert torch.bincount(graph.y[graph.splits["train"]]).tolist() == [20] * 5
    # half of the edges are drawn inside a class; of the others, a fifth falls there
    same = (graph.y[graph.adj.rows] == graph.y[graph.adj.columns.long()]).double().mean()
    assert float(same) == pytest.approx(0.6, abs=0.03)
    assert graph.adj.nnz / 1003 == pytest.approx(6.0, rel=0.02)


def test_it_is_loaded_by_its_name_without_a_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    graph = load(PLANTED, root=DataRoot(None))
    assert (graph.n_nodes, graph.n_classes, graph.source) == (1000, 5, PLANTED)


def test_pretraining_tells_more_than_the_features() -> None:
    def score(method: dict[str, object], seed: int) -> float:
        config = PretrainConfig.of(data={"name": PLANTED}, method=method, fit={"epochs": 30, "lr": 1e-3})
        return run_experiment(config, seed, root=DataRoot(None))["score"]

    learned = {"name": "cca_ssg", "encoder": {"hidden": 128, "layers": 2}, "drop_features": 0.1, "drop_edges": 0.4}
    assert min(score(learned, seed) for seed in range(2)) > max(score({"name": "raw"}, seed) for seed in range(2)) + 0.2
