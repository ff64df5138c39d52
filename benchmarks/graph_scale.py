"""Pretraining out of core, from ten thousand nodes to ten million: time and memory against the size of the graph.

Graphs are generated (R-MAT with planted communities, ten undirected edges a node before duplicates go, 64 features in
half precision), written to disk and memory-mapped. Each size is trained in a process of its own: GraphMAE2 with GAT
2 x 128 on contexts of at most 32 nodes by PageRank, 256 at a time. A graph's epoch is its nodes times the time per
context.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from common import THREADS, Row, arguments, finish
from espalier.graph.methods.build import build_method
from espalier.graph.methods.masked.config import GraphMAE2Config
from espalier.graph.nn.config import EncoderConfig
from espalier.graph.sampling.clusters import Clusters
from espalier.graph.sampling.config import ContextConfig
from espalier.graph.sampling.ppr import ppr
from espalier.graph.sampling.rmat import write_rmat
from espalier.graph.sampling.store import open_store
from espalier.graph.train.config import FitConfig
from espalier.graph.train.fit import Trainer

EDGES_A_NODE, BATCH, SEEDS, WARM = 10, 256, 4096, 1024
CONTEXT = ContextConfig(size=32, tolerance=1e-3)
LIMIT = 8.0
"""GB of resident memory that the largest graph may take."""


def generate(folder: str, nodes: int) -> dict[str, float]:
    """Write the graph: seconds, and peak GB."""
    begun = time.perf_counter()
    write_rmat(Path(folder), nodes, EDGES_A_NODE * nodes)
    return {"seconds": time.perf_counter() - begun, "memory": peak()}


def train(folder: str, nodes: int) -> dict[str, float]:
    """Contexts a second alone and in training, the graph's entries, and peak GB."""
    graph = open_store(Path(folder))
    seeds = torch.randperm(nodes, generator=torch.Generator().manual_seed(0))[: 4 * SEEDS]
    begun = time.perf_counter()
    ppr(graph.adj, seeds, teleport=CONTEXT.teleport, tolerance=CONTEXT.tolerance, keep=CONTEXT.size)
    alone = seeds.numel() / (time.perf_counter() - begun)
    encoder = EncoderConfig(hidden=128, heads=4, dropout=0.2, attention_dropout=0.1, norm="layer")
    method = build_method(GraphMAE2Config(encoder=encoder, views=1), graph.n_features)
    config = FitConfig(epochs=2, optimizer="adamw", clip=3.0)
    clusters = Clusters(graph, BATCH, CONTEXT.model_copy(update={"seeds_per_epoch": min(SEEDS, nodes)}))
    trainer = Trainer(method, clusters, config)
    trainer.one_epoch()
    begun = time.perf_counter()
    trainer.one_epoch()
    rate = clusters.seeds / (time.perf_counter() - begun)
    return {"alone": alone, "rate": rate, "entries": graph.adj.nnz, "memory": peak()}


def peak() -> float:
    """Largest resident size of this process, in GB, mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def apart(part: str, folder: Path, nodes: int) -> dict[str, float]:
    """Run a part in a fresh process."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder), "--nodes", str(nodes)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--largest", type=float, default=1e7, help="nodes of the largest graph")
    parser.add_argument("--part", choices=("generate", "train"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--nodes", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    if args.part:
        print(json.dumps({"generate": generate, "train": train}[args.part](args.folder, args.nodes)))
        return 0
    rows = []
    largest = min(args.largest, 1e6) if args.quick else args.largest
    for power in range(4, 8):
        nodes = 10**power
        if nodes > largest:
            break
        with tempfile.TemporaryDirectory() as room:
            made = apart("generate", Path(room) / "graph", nodes)
            found = apart("train", Path(room) / "graph", nodes)
        size = f"10^{power} nodes, {found['entries'] / 2:,.0f} edges"
        epoch = nodes / found["rate"]
        memory = max(made["memory"], found["memory"])
        rows += [
            Row(f"{size}: generate", made["seconds"], None, "s", None),
            Row(f"{size}: contexts", found["alone"], None, "1/s", None),
            Row(f"{size}: pretraining", found["rate"], None, "contexts/s", None),
            Row(f"{size}: an epoch of every node", epoch, None, "s", None),
            Row(f"{size}: time per edge", 1e6 * epoch / (found["entries"] / 2), None, "us", None),
            Row(f"{size}: peak memory", memory, LIMIT, "GB", LIMIT / memory, 1.0 if power == 7 else None),
        ]
    return finish("Pretraining out of core", rows, args, ("torch", "numpy"))


if __name__ == "__main__":
    sys.exit(main())
