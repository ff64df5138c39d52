"""Saved encoders: a fresh process that runs the card's lines has the embeddings of the training, bit by bit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graphs import random_graph

import espalier
from espalier import graph
from espalier.core.errors import ConfigError, DataError
from espalier.graph.config import PretrainConfig
from espalier.graph.data.npz import write_npz
from espalier.graph.data.prepare import normalised
from espalier.graph.encoder import Encoder
from espalier.graph.experiment import Experiment
from espalier.graph.nn.config import EncoderConfig

SMALL = {"hidden": 8, "heads": 2, "dropout": 0.2}
RECIPES: dict[str, dict[str, Any]] = {
    "graphmae": {"method": {"name": "graphmae", "encoder": SMALL}},
    "graphmae2": {"method": {"name": "graphmae2", "encoder": SMALL, "projection": 4}},
    "pgt": {"method": {"name": "pgt", "hidden": 8, "heads": 2}, "fit": {"batch_size": 7}, "context": {"size": 6}},
    "pgt, no decoder": {
        "method": {"name": "pgt", "hidden": 8, "heads": 2, "reuse_decoder": False},
        "fit": {"batch_size": 16},
        "context": {"size": 9, "teleport": 0.3},
    },
    "dgi": {"method": {"name": "dgi", "encoder": SMALL}},
    "mvgrl": {"method": {"name": "mvgrl", "hidden": 8}},
    "grace": {"method": {"name": "grace"}},
    "bgrl": {"method": {"name": "bgrl"}},
    "cca_ssg": {"method": {"name": "cca_ssg", "encoder": {"hidden": 8}}},
    "gae": {"method": {"name": "gae"}, "evaluate": {"kind": "links"}},
    "vgae": {"method": {"name": "vgae"}, "evaluate": {"kind": "links"}},
    "argva": {"method": {"name": "argva"}},
    "scr": {"method": {"name": "scr", "hidden": 8, "momentum": 0.9, "label_hops": 2}},
    "supervised": {"method": {"name": "supervised"}},
    "random": {"method": {"name": "random", "encoder": SMALL}},
    "raw": {"method": {"name": "raw"}},
    **{
        kind: {"method": {"name": "graphmae", "encoder": SMALL | {"kind": kind, "norm": "batch"}}}
        for kind in ("gat", "gcn", "gin", "sage", "mlp", "transformer")
    },
    "experts": {"method": {"name": "graphmae", "encoder": SMALL | {"experts": 3}}},
    "contexts": {"method": {"name": "graphmae2", "encoder": SMALL}, "fit": {"batch_size": 8}, "context": {"size": 5}},
    "standard": {"method": {"name": "graphmae", "encoder": SMALL}, "data": {"normalise": "standard"}},
    "unscaled": {"method": {"name": "graphmae", "encoder": SMALL}, "data": {"normalise": "none"}},
    "random split": {
        "method": {"name": "scr", "hidden": 8, "label_hops": 1},
        "data": {"split": "random", "train": 0.3, "val": 0.2},
    },
    "set": {"method": {"name": "graphmae", "encoder": SMALL}, "evaluate": {"kind": "svm", "pooling": "max"}},
    "best weights": {"method": {"name": "dgi", "encoder": SMALL}, "fit": {"patience": 1, "lr": 0.1}},
}
FRESH = """
import json, sys
from pathlib import Path
import numpy as np
for folder in json.loads(sys.argv[1]):
    found = {}
    code = Path(folder, "README.md").read_text().split("```python\\n")[1].split("```")[0]
    exec(code.replace("this/folder", folder), found)
    np.save(folder + ".npy", found["z"].numpy())
"""


def python(script: str, *arguments: str, folder: Path) -> str:
    """Run a script in a process of its own; what it printed."""
    source = str(Path(espalier.__file__).parents[1])
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": source}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, timeout=240, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Experiment]]:
    """Every recipe, trained and saved; and what a fresh process made of each card."""
    folder = tmp_path_factory.mktemp("encoders")
    whole = random_graph(40, 120)
    write_npz(whole, folder / "one.npz")
    sets = replace(whole, ptr=torch.tensor([0, 10, 25, 40]), y=torch.tensor([0, 1, 0]), splits={})
    inside = sets.member[sets.adj.rows] == sets.member[sets.adj.columns]
    edges = sets.adj.rows[inside], sets.adj.columns[inside]
    write_npz(replace(sets, adj=graph_of(edges, 40)), folder / "set.npz")
    experiments = {}
    for name, recipe in RECIPES.items():
        data = {"name": str(folder / ("set.npz" if name == "set" else "one.npz")), "normalise": "row"}
        fit = {"epochs": 2, **recipe.get("fit", {})}
        config = PretrainConfig.of(**{**recipe, "data": {**data, **recipe.get("data", {})}, "fit": fit})
        experiment = experiments[name] = Experiment.prepare(config, 3)
        experiment.trainer.fit()
        experiment.encoder.save(folder / name, {"score": 0.5})
    python(FRESH, json.dumps([str(folder / name) for name in RECIPES]), folder=Path("/"))
    return folder, experiments


def graph_of(edges: tuple[torch.Tensor, torch.Tensor], n: int) -> Any:
    from espalier.graph.data.graph import symmetric

    return symmetric(*edges, n, "set")


@pytest.mark.parametrize("name", RECIPES)
def test_the_lines_of_the_card_give_the_embeddings_that_were_judged(
    name: str, trained: tuple[Path, dict[str, Experiment]]
) -> None:
    folder, experiments = trained
    expected = experiments[name].embeddings().numpy()
    found = np.load(folder / f"{name}.npy")
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()
    assert float(np.abs(expected).max()) > 0.0
    assert sorted(file.suffix for file in (folder / name).iterdir()) == [".json", ".md", ".safetensors"]


def test_every_method_and_encoder_is_among_them() -> None:
    from typing import get_args

    from espalier.graph.methods.config import AnyMethod

    methods = {kind.model_fields["name"].default for kind in get_args(get_args(AnyMethod)[0])}
    encoders = set(get_args(EncoderConfig.model_fields["kind"].annotation))
    assert methods | encoders <= RECIPES.keys()


def test_features_are_scaled_as_in_training_once(trained: tuple[Path, dict[str, Experiment]]) -> None:
    folder, experiments = trained
    encoder = graph.load_encoder(str(folder / "standard"))
    raw = graph.load(str(folder / "one.npz"))
    expected = experiments["standard"].embeddings()
    assert torch.equal(encoder.embed(raw), expected)
    assert torch.equal(encoder.embed(graph.load(folder / "one.npz", normalise="standard")), expected)
    with pytest.raises(DataError, match="scaled by 'row', but 'standard' is wanted"):
        encoder.embed(graph.load(folder / "one.npz", normalise="row"))
    other = replace(random_graph(25, 60, seed=1), name="other")
    column = np.array([1.0 if s == 0 else s for s in raw_std(raw)], np.float32)
    by_hand = replace(other, x=(other.x.dense() - torch.from_numpy(raw_mean(raw))) / torch.from_numpy(column))
    torch.testing.assert_close(encoder.embed(other), encoder.method.embed(by_hand))
    with pytest.raises(DataError, match="other has 5 features, but this encoder reads 12"):
        encoder.embed(replace(random_graph(features=5), name="other"))


def raw_mean(one: Any) -> Any:
    return one.x.dense().numpy().mean(0)


def raw_std(one: Any) -> Any:
    return one.x.dense().numpy().std(0)


def test_a_graph_made_in_memory(tmp_path: Path) -> None:
    mine = normalised(random_graph(), "row")
    encoder = graph.pretrain(
        mine, "pgt", epochs=1, batch_size=8, settings={"hidden": 8, "heads": 2}, context={"size": 6}
    )
    encoder.save(str(tmp_path / "out"), {"score": 0.5})
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| score | 0.5000 |" in text
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    found: dict[str, Any] = {"data": random_graph()}
    exec(code.replace("this/folder", str(tmp_path / "out")), found)
    assert torch.equal(found["z"], encoder.embed(mine))
    with pytest.raises(DataError, match="trained on random, a graph made in memory"):
        graph.load_encoder(tmp_path / "out").load_data()
    with pytest.raises(ConfigError, match="pgt trains on contexts"):
        graph.pretrain(mine, "pgt", epochs=1)


def saved(folder: Path) -> Path:
    encoder = graph.pretrain(random_graph(), "graphmae", epochs=1, settings={"encoder": {"hidden": 8, "heads": 2}})
    encoder.save(folder / "out")
    return folder / "out"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": None}, r"config\.json has no exported encoder of layout 1"),
        ({"n_features": 13}, r"model\.safetensors: decoder\.bias is \(12,\), where config\.json wants \(13,\)"),
        ({"scaling": "standard"}, "'standard' is no scaling without mean"),
        ({"recipe": 3}, "has no exported encoder"),
        ({"recipe": {"data": {"name": "x"}, "method": {"name": "graphmea"}}}, "graphmae"),
    ],
)
def test_a_damaged_config_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = saved(tmp_path) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(DataError, match=message):
        graph.load_encoder(tmp_path / "out")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    whole = (folder / "model.safetensors").read_bytes()
    for cut in (0, 5, 100, len(whole) - 1):
        (folder / "model.safetensors").write_bytes(whole[:cut])
        with pytest.raises(DataError, match="has no exported encoder"):
            graph.load_encoder(folder)
    (folder / "config.json").write_text('{"layout": 1,\n]')
    with pytest.raises(DataError, match=r"config\.json: not JSON"):
        graph.load_encoder(folder)
    with pytest.raises(DataError, match="cannot be read"):
        graph.load_encoder(tmp_path / "nothing")


def test_the_class_is_public() -> None:
    assert graph.Encoder is Encoder
    assert graph.load_method is graph.load_encoder
