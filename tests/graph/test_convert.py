"""`espalier graph`: generating and converting graphs on disk, from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from espalier.cli.main import main
from espalier.graph.data.load import load


@pytest.fixture
def features(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", np.eye(4, dtype=np.float32))
    return tmp_path / "x.npy"


@pytest.mark.parametrize("text", ["0,1\n1,2\n2,1\n", "source,target\n0,1\n1,2\n", "0\t1\n1\t2\n"])
def test_converting_a_csv(tmp_path: Path, features: Path, text: str) -> None:
    (tmp_path / "e.csv").write_text(text)
    np.save(tmp_path / "y.npy", np.array([0, 1, 1, 0]))
    words = [str(tmp_path / "e.csv"), str(features), str(tmp_path / "out"), f"--labels={tmp_path / 'y.npy'}"]
    assert main(["graph", "convert", *words]) == 0
    graph = load(tmp_path / "out")
    assert graph.adj.columns.tolist() == [1, 0, 2, 1]
    assert torch.equal(graph.x, torch.eye(4))
    assert graph.y.tolist() == [0, 1, 1, 0]


def test_converting_parquet(tmp_path: Path, features: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": [0, 1], "b": [1, 3]}), tmp_path / "e.parquet")
    assert main(["graph", "convert", str(tmp_path / "e.parquet"), str(features), str(tmp_path / "out")]) == 0
    assert load(tmp_path / "out").adj.nnz == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1\n1,9\n", "e.csv:2: there is no node 9: x.npy has rows for nodes 0 to 3"),
        ("0,1\n-1,2\n", "e.csv:2: there is no node -1"),
        ("0,x\n1,y\n", "e.csv:1: 'x' is not a whole number"),
        ("0,1\n2,\n", "e.csv:2: an empty cell is not a whole number"),
        ("source,target\n", "e.csv has no edges"),
    ],
)
def test_edges_that_cannot_be_read(
    tmp_path: Path, features: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.csv").write_text(text)
    assert main(["graph", "convert", str(tmp_path / "e.csv"), str(features), str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert not (tmp_path / "out").exists()


def test_generating(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["graph", "generate", str(tmp_path / "g"), "--nodes=500", "--edges=2000", "--classes=4", "--features=8"]
    assert main(words) == 0
    graph = load(tmp_path / "g")
    assert (graph.n_nodes, graph.n_features, graph.n_classes) == (500, 8, 4)
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["graph", "genrate", "x"]) == 2
    assert "did you mean 'generate'" in capsys.readouterr().err
    assert main(["graph", "convert", "x", "--nodes=5"]) == 2
    assert "graph convert has no --nodes: it is of espalier graph generate" in capsys.readouterr().err
    assert main(["graph", "convert", "x"]) == 2
    assert "usage: espalier graph convert EDGES FEATURES FOLDER" in capsys.readouterr().err
