"""A GraphMAE epoch against the dense formulation on PyTorch Geometric: same widths, masks, dropouts, Adam; fp32.

An epoch is one step on the whole graph: masking, forward, backward, optimizer. Peak memory is the largest resident size
of a process that runs two epochs of one side and nothing else. PyTorch Geometric's decoder forms a message of all
features per edge: on CS it needs most of a 24 GB machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from common import THREADS, Row, arguments, finish, paired
from espalier.graph.data.load import load
from espalier.graph.methods.build import build_method
from espalier.graph.methods.masked.config import GraphMAEConfig
from espalier.graph.nn.config import EncoderConfig
from espalier.graph.ops.features import dense
from espalier.graph.train.batches import Whole
from espalier.graph.train.config import FitConfig
from espalier.graph.train.fit import Trainer


class Case(NamedTuple):
    """A data set and its published setting."""

    heads: int
    replace: float
    alpha: float
    must: float
    aim: float


CASES = {"Cora": Case(4, 0.05, 3.0, 2.5, 4.5), "CS": Case(4, 0.05, 3.0, 6.0, 10.0)}
HIDDEN, DROPOUT, MASK, LR, DECAY = 512, 0.2, 0.5, 1e-3, 2e-4


def ours(name: str) -> Callable[[], float]:
    """Seconds of an epoch of this project."""
    graph, case = load(name), CASES[name]
    encoder = EncoderConfig(hidden=HIDDEN, heads=case.heads, dropout=DROPOUT, attention_dropout=0.1)
    config = GraphMAEConfig(encoder=encoder, mask_rate=MASK, replace_rate=case.replace, alpha=case.alpha)
    trainer = Trainer(build_method(config, graph.n_features), Whole(graph), FitConfig(lr=LR, weight_decay=DECAY))

    def epoch() -> float:
        begun = time.perf_counter()
        trainer.one_epoch()
        return time.perf_counter() - begun

    return epoch


def peer(name: str) -> Callable[[], float]:
    """Seconds of an epoch of the dense formulation."""
    from graph_dense import DenseGraphMAE

    graph, case = load(name), CASES[name]
    x, edges = dense(graph.x), torch.stack([graph.looped.columns, graph.looped.rows])
    model = DenseGraphMAE(
        graph.n_features, HIDDEN, case.heads, mask=MASK, replace=case.replace, alpha=case.alpha, dropout=DROPOUT
    )
    optimizer = torch.optim.Adam(model.parameters(), LR, weight_decay=DECAY)

    def epoch() -> float:
        begun = time.perf_counter()
        loss = model(x, edges)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.perf_counter() - begun

    return epoch


def memory(side: str, name: str) -> float:
    """Peak resident GB of a fresh process that runs two epochs of one side."""
    command = [sys.executable, __file__, "--side", side, "--only", name]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", choices=CASES, help="one data set")
    parser.add_argument("--side", choices=("ours", "peer"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    if args.side:
        epoch = {"ours": ours, "peer": peer}[args.side](args.only)
        for _ in range(2):
            epoch()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return 0
    rows = []
    for name, case in CASES.items():
        if args.only in (None, name):
            repeats = 3 if args.quick else 7
            title = f"GraphMAE epoch, {name}"
            settings = {"unit": "s", "higher_is_better": False, "must": case.must, "aim": case.aim}
            mine, theirs = (
                memory("ours", name),
                memory("peer", name),
            )  # first: the dense side needs the machine's memory
            rows.append(paired(title, ours(name), peer(name), repeats=repeats, **settings))  # type: ignore[arg-type]
            must = 4.0 if name == "CS" else None
            rows.append(Row(f"peak memory, {name}", mine, theirs, "GB", theirs / mine, must))
    return finish("A GraphMAE epoch", rows, args, ("torch", "torch-geometric"))


if __name__ == "__main__":
    sys.exit(main())
