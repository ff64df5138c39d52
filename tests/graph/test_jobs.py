"""The jobs, as the command line runs them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from graphs import random_graph

from espalier.cli.main import main
from espalier.core.errors import ConfigError
from espalier.core.run.pieces import read_piece
from espalier.graph.align.batches import Mixture, side_by_side
from espalier.graph.align.features import centred, hashed_text, project_words
from espalier.graph.align.knowledge import read_codex
from espalier.graph.config import TableConfig
from espalier.graph.data.npz import write_npz
from espalier.graph.sampling.clusters import Clusters
from espalier.graph.sampling.config import ContextConfig

RECIPE = """
job: graph.pretrain
name: small
data: {{name: {data}}}
method: {{name: graphmae, encoder: {{hidden: 16, heads: 2}}}}
fit: {{epochs: 4}}
evaluate: {{kind: linear, epochs: 5}}
seeds: 2
"""

TABLE = """
job: graph.table
name: table
seeds: 2
baseline: random
data:
  {data}: {{evaluate: {{kind: linear, epochs: 5}}}}
rows:
  graphmae:
    settings: {{method: {{name: graphmae, encoder: {{hidden: 16, heads: 2}}}}, fit: {{epochs: 2}}}}
    cells: {{{data}: {{published: 84.2, std: 0.4}}}}
  random:
    settings: {{method: {{name: random, encoder: {{hidden: 16, heads: 2}}}}}}
    cells: {{{data}: {{}}}}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_npz(random_graph(120, 400), tmp_path / "small.npz")
    return tmp_path / "small.npz"


def run(recipe: Path, *words: str) -> Path:
    """Run the recipe; the folder of its run."""
    out = recipe.parent / "runs"
    assert main(["run", str(recipe), f"--runs-dir={out}", *words]) == 0
    return sorted(out.glob("*/*"))[-1]


def test_pretraining(tmp_path: Path, data: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE.format(data=data))
    folder = run(tmp_path / "r.yaml")
    result = json.loads((folder / "result.json").read_text())
    assert {"score", "final", "early", "val", "score_std"} <= result.keys()
    assert (folder / "artefacts" / "encoder" / "model.safetensors").exists()
    assert (folder / "artefacts" / "map.png").stat().st_size > 1000
    assert "data:image/png" in (folder / "report.html").read_text()


def test_a_table_goes_on_where_it_stopped(tmp_path: Path, data: Path) -> None:
    (tmp_path / "t.yaml").write_text(TABLE.format(data=data))
    cells = tmp_path / "cells"
    folder = run(tmp_path / "t.yaml", f"results={cells}", "only=['random/" + str(data) + "']")
    assert len(list(cells.iterdir())) == 2
    before = {file: file.stat().st_mtime_ns for file in cells.iterdir()}
    folder = run(tmp_path / "t.yaml", f"results={cells}")
    assert len(list(cells.iterdir())) == 4
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in before.items())
    table = (folder / "artefacts" / "table.md").read_text()
    assert "[84.2 ± 0.4]" in table
    assert "(2)" in table
    assert "95% interval" in table


def test_wrong_cells_are_named() -> None:
    cell = {"settings": {"method": {"name": "graphmae", "alhpa": 3}}}
    rows = {"mine": {"settings": {"method": {"name": "graphmae"}}, "cells": {"Cora": cell}}}
    with pytest.raises(ConfigError, match=r"rows\.mine on Cora: .*alhpa"):
        TableConfig.of(data={"Cora": {}}, rows=rows)
    with pytest.raises(ConfigError, match="the table has no column 'Cora'"):
        TableConfig.of(data={}, rows=rows)
    rows["mine"]["cells"] = {"Cora": {}}
    with pytest.raises(ConfigError, match="there is no cell 'x/y'"):
        TableConfig.of(data={"Cora": {}}, rows=rows, only=["x/y"])


@pytest.mark.parametrize(
    ("how", "figures"),
    [
        ("kind: knn, k: 3", {"score"}),
        ("kind: clusters", {"score", "ari", "accuracy"}),
        ("kind: few_shot, ways: 2, shots: 1, queries: 3, episodes: 20", {"score", "episodes_std"}),
        ("kind: logistic", {"score", "final", "early", "val"}),
        ("kind: links", {"score", "ap", "probe_auc", "probe_ap"}),
    ],
)
def test_each_kind_of_evaluation(data: Path, how: str, figures: set[str]) -> None:
    recipe = data.with_name("recipe.yaml")
    recipe.write_text(RECIPE.format(data=data).replace("kind: linear, epochs: 5", how))
    found = read_piece(run(recipe, "seeds=1") / "checkpoints/seed-0.json")
    assert found.keys() == figures
    assert 0.0 <= found["score"] <= 1.0


def test_clusters_and_few_shots_need_no_split(tmp_path: Path) -> None:
    graph = random_graph(60, 200)
    write_npz(replace(graph, splits={}), tmp_path / "bare.npz")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(data=tmp_path / "bare.npz").replace("kind: linear, epochs: 5", "kind: clusters"))
    run(recipe, "fit.epochs=0", "seeds=1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate.kind=svm"], "is one graph, which 'svm' cannot evaluate"),
        (["evaluate.kind=own"], "has no classifier of its own"),
        (["method={name: pgt}"], "pgt trains on contexts"),
        (["data.split=public", "data.name=nowhere"], "nowhere"),
        (["method.mask_rat=0.3"], "mask_rate"),
    ],
)
def test_recipes_that_do_not_fit_say_why(
    tmp_path: Path, data: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = RECIPE.format(data=data)
    if words[0].startswith("evaluate.kind"):
        recipe = recipe.replace("evaluate: {kind: linear, epochs: 5}\n", "")
    if words[0].startswith("method={"):
        recipe = recipe.replace("method: {name: graphmae, encoder: {hidden: 16, heads: 2}}\n", "")
    (tmp_path / "r.yaml").write_text(recipe)
    assert main(["run", str(tmp_path / "r.yaml"), f"--runs-dir={tmp_path / 'runs'}", *words]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_features_of_different_graphs_in_one_space() -> None:
    graph = project_words(random_graph(100, 300, 40), 16)
    assert graph.n_features == 16
    assert float(graph.x.norm(dim=1).mean()) == pytest.approx(1.0)
    torch.testing.assert_close(centred(graph).x.mean(0), torch.zeros(16), atol=1e-6, rtol=0)
    assert project_words(random_graph(10, 20, 5), 16).x.shape == (10, 16)  # fewer directions: zeros fill up
    encode = hashed_text(4)
    vectors = encode(["a river in France", "a river in Spain", "a prime number", "an odd number", "a city in Spain"])
    close = lambda a, b: float(np.dot(vectors[a], vectors[b]))  # noqa: E731
    assert close(0, 1) > close(0, 2)
    assert np.array_equal(encode(["x y", "y z", "z x"]), encode(["x y", "y z", "z x"]))


def test_a_mixture_keeps_its_proportions() -> None:
    graphs = [project_words(random_graph(n, 3 * n, 30), 8) for n in (20, 60)]
    clusters = tuple(Clusters(graph, 16, ContextConfig(size=4)) for graph in graphs)
    mixture = Mixture(clusters, (1.0, 2.0), 16)
    assert mixture.counts == [30, 60]  # 60 / 2 is the larger unit: the small graph comes around again
    batches = list(mixture.epoch(0, 0))
    assert len(batches) == mixture.steps == 6
    assert sum(batch.n_graphs for batch in batches) == 90
    one, two = next(clusters[0].around(torch.tensor([3]))), next(clusters[1].around(torch.tensor([5, 6])))
    both = side_by_side([one, two])
    assert both.n_graphs == 3
    assert torch.equal(both.x[one.n_nodes :], two.x)
    assert torch.equal(both.adj.columns[one.adj.nnz :] - one.n_nodes, two.adj.columns)


@pytest.mark.data
def test_the_knowledge_graph() -> None:
    from espalier.core.data import DataRoot

    root = DataRoot.find()
    known = read_codex(root.file("kg/codex-s"), root.file("kg/codex"))
    assert known.pairs.shape == (2, 36543)
    assert len(known.entities) == 2034
    assert sum(bool(text) for text in known.texts) > 1900


def test_the_five_lines_of_the_documentation(tmp_path: Path, data: Path) -> None:
    from espalier import graph

    loaded = graph.load(data)
    encoder = graph.pretrain(loaded, "graphmae", epochs=3, settings={"encoder": {"hidden": 16, "heads": 2}})
    z = encoder.embed(loaded)
    assert graph.probe(z, loaded).early >= 0.0
    encoder.save(tmp_path / "encoder")
    assert torch.equal(graph.load_encoder(tmp_path / "encoder").embed(loaded), z)
    with pytest.raises(ConfigError, match="epoch"):
        graph.pretrain(loaded, "graphmae", epoch=3)
