"""The trainer: repeatable, resumable to the last bit, untouched by evaluation, equal to itself when distributed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from graphs import random_graph
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import ConfigError, RunError
from espalier.core.run.checkpoints import Checkpoints
from espalier.graph.config import PretrainConfig
from espalier.graph.methods.build import build_method
from espalier.graph.methods.config import SCRConfig, SupervisedConfig
from espalier.graph.methods.contrastive.config import BGRLConfig, DGIConfig
from espalier.graph.methods.masked.config import GraphMAE2Config, GraphMAEConfig
from espalier.graph.nn.config import EncoderConfig
from espalier.graph.parallel import Share
from espalier.graph.preparation import make_batches
from espalier.graph.random import seeded
from espalier.graph.sampling.clusters import Clusters
from espalier.graph.sampling.config import ContextConfig
from espalier.graph.sampling.neighbours import Neighbours
from espalier.graph.tasks.probe import linear_probe
from espalier.graph.train.batches import Members, Whole
from espalier.graph.train.checkpoint import restore, save
from espalier.graph.train.config import FitConfig
from espalier.graph.train.fit import Trainer
from espalier.graph.train.optim import learning_rate

SMALL = EncoderConfig(hidden=8, heads=2, dropout=0.2, attention_dropout=0.1)
GCN = EncoderConfig(kind="gcn", hidden=8, dropout=0.3)
METHODS = [
    GraphMAEConfig(encoder=SMALL),
    GraphMAE2Config(encoder=SMALL, projection=4),
    BGRLConfig(encoder=EncoderConfig(kind="gcn", hidden=8, norm="batch")),
    SCRConfig(hidden=8, warm_up=0.2, gap=2, top=0.4, down=0.3, momentum=0.5),
    SupervisedConfig(encoder=GCN),
]


def trainer(config: object, seed: int = 0, **fit: object) -> Trainer:
    graph = random_graph()
    settings = FitConfig.of(**{"epochs": 12, "lr": 0.01, "schedule": "cosine", "clip": 1.0, **fit})
    return Trainer(build_method(config, 12, 3, seed), Whole(graph), settings, seed)


def weights(found: Trainer) -> dict[str, torch.Tensor]:
    return {name: value for name, value in found.method.state_dict().items() if isinstance(value, torch.Tensor)}


def equal(a: Trainer, b: Trainer) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a).values(), weights(b).values(), strict=True))


def kept(folder: Path) -> Checkpoints:
    return Checkpoints(folder / "checkpoints", keep=2, say=print)


@pytest.mark.parametrize("config", METHODS, ids=lambda config: config.name)
def test_a_resumed_training_ends_in_the_same_bits(config: object, tmp_path: Path) -> None:
    whole = trainer(config)
    whole.fit()
    first = trainer(config)
    first.fit(lambda epoch, _: epoch == 5)
    save(first, kept(tmp_path), 1, 0)
    second = trainer(config)
    assert restore(second, kept(tmp_path), 0)
    assert second.epoch == 5
    second.fit()
    assert equal(whole, second)
    assert not restore(trainer(config), kept(tmp_path), 1)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    save(trainer(METHODS[0]), kept(tmp_path), 1, 0)
    with pytest.raises(RunError, match="does not fit this recipe"):
        restore(trainer(METHODS[4]), kept(tmp_path), 0)


@pytest.mark.parametrize("config", METHODS, ids=lambda config: config.name)
def test_evaluation_between_epochs_changes_nothing(config: object) -> None:
    quiet, judged = trainer(config), trainer(config)
    quiet.fit()
    graph = random_graph()

    def look(epoch: int, loss: float) -> bool:
        linear_probe(judged.method.embed(graph), graph.y, graph.splits, epochs=3)
        torch.rand(17)
        return False

    judged.fit(look)
    assert equal(quiet, judged)


def test_seeds_matter() -> None:
    a, b = trainer(METHODS[0], 0), trainer(METHODS[0], 1)
    a.fit(), b.fit()
    assert not equal(a, b)


def test_patience_keeps_the_best_weights() -> None:
    found = trainer(DGIConfig(encoder=GCN), epochs=400, lr=0.3, schedule="constant", patience=5)
    found.fit()
    assert found.epoch < 400
    assert found.stale == 5
    assert equal(found, found)
    kept = {name: value for name, value in found.kept.items() if isinstance(value, torch.Tensor)}
    assert all(torch.equal(kept[name], value) for name, value in weights(found).items())


def test_a_supervised_training_waits_for_validation_accuracy() -> None:
    found = trainer(SupervisedConfig(encoder=GCN), epochs=60, patience=10)
    found.fit()
    assert found.best == 1.0 - found.method.accuracy(found.batches.graph, "val")


@pytest.mark.parametrize("config", METHODS, ids=lambda config: config.name)
def test_every_method_can_keep_its_best_weights(config: object, tmp_path: Path) -> None:
    found = trainer(config, patience=3)
    found.fit(lambda epoch, _: epoch == 4)
    save(found, kept(tmp_path), 1, 0)
    again = trainer(config, patience=3)
    restore(again, kept(tmp_path), 0)
    found.fit(), again.fit()
    assert equal(found, again)


def test_learning_rates() -> None:
    config = FitConfig(epochs=10, lr=1.0, schedule="cosine", warmup=2)
    rates = [learning_rate(config, epoch) for epoch in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5)
    assert learning_rate(FitConfig(lr=0.1), 150) == 0.1


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    found = trainer(METHODS[0])
    with torch.no_grad():
        found.method.token.fill_(float("nan"))
    with pytest.raises(RunError, match="the loss of epoch 0 is nan: try a lower `lr`"):
        found.fit()


def test_half_precision_matrix_products_stay_close() -> None:
    full, half = trainer(METHODS[0], epochs=3), trainer(METHODS[0], epochs=3, precision="bf16")
    assert half.one_epoch() == pytest.approx(full.one_epoch(), rel=0.05)


def members() -> Members:
    graph = random_graph()
    return Members(replace(graph, ptr=torch.tensor([0, 30]), y=torch.tensor([0])), 1)


@pytest.mark.parametrize(
    "batches",
    [
        Clusters(random_graph(), 8, ContextConfig(size=8)),
        Clusters(random_graph(), 8, ContextConfig(size=8, seeds_per_epoch=10)),
        Neighbours(random_graph(), 8, (3, 2)),
        members(),
    ],
    ids=["clusters", "some clusters", "neighbours", "members"],
)
def test_every_kind_of_batch_trains(batches: object) -> None:
    method = build_method(METHODS[1], 12)
    found = Trainer(method, batches, FitConfig(epochs=2))
    found.fit()
    assert found.epoch == 2
    assert len(list(batches.epoch(0, 0))) == batches.steps


MANY = {"epochs": 1, "batch_size": 30, "lr": 0.01}
SCRIPT = """
import os, sys, torch
sys.path.insert(0, sys.argv[1])
from test_training import MANY, SMALL, GraphMAEConfig, random_graph
from espalier import graph
found = graph.pretrain(random_graph(), GraphMAEConfig(encoder=SMALL), **MANY)
torch.save(found.method.state_dict(), f"{sys.argv[2]}-{os.environ['RANK']}")
"""


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    """The step of torchrun's two processes is that of one which averages the gradients of both shares."""
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    arguments = [str(Path(__file__).parent), str(tmp_path / "weights")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *command, *arguments], check=True, timeout=240, env=environment)

    one = trainer(GraphMAEConfig(encoder=SMALL), lr=0.01, clip=0.0, schedule="constant")
    one.method.train()
    for rank in range(2):
        (batch,) = Clusters(random_graph(), 30, share=Share(rank, 2)).epoch(0, 0)
        assert batch.n_graphs == 15
        with seeded(0, "step", *([rank] * (rank > 0)), 0, 0):
            (0.5 * one.method.loss(batch)).backward()
    one.optimizer.step()
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"weights-{rank}", weights_only=True), one.method.state_dict())


@given(st.integers(2, 40), st.integers(1, 12), st.integers(1, 4))
def test_shares_have_no_node_in_common_and_as_many_steps(n: int, size: int, of: int) -> None:
    shares = [Clusters(random_graph(n, 2 * n), size, share=Share(rank, of)) for rank in range(of)]
    order = torch.randperm(n)
    taken = torch.cat([one.share.take(order) for one in shares])
    assert taken.unique().numel() == taken.numel() == n - n % of
    assert all(len(list(one.epoch(0, 3))) == shares[0].steps for one in shares)


def test_a_whole_graph_is_not_shared() -> None:
    with pytest.raises(ConfigError, match=r"fit.batch_size: training in several processes"):
        make_batches(random_graph(), PretrainConfig.of(data={"name": "Cora"}, method={"name": "dgi"}), Share(0, 2))
