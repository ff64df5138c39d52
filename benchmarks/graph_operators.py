"""Operators against PyTorch Geometric: attention, forward and backward, and personalised PageRank by pushing.

Attention: 4 heads of 128, float32, the gradient of the output's sum of squares. "the sum alone" begins from projected
features, "whole layer" from features 512 wide. PageRank: teleport .15, all nodes that the push reaches.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv
from torch_geometric.utils import get_ppr

from common import THREADS, Row, arguments, finish, paired
from espalier.graph.data.load import load
from espalier.graph.nn.gat import GAT
from espalier.graph.ops.attention import attend_heads
from espalier.graph.sampling.ppr import ppr

HEADS, WIDTH, TELEPORT = 4, 128, 0.15


def timed(work: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """Milliseconds of one call of `work`."""

    def measure() -> float:
        begun = time.perf_counter()
        for _ in range(times):
            work()
        return 1e3 * (time.perf_counter() - begun) / times

    return measure


def attention(name: str, whole: bool, repeats: int) -> Row:
    """One attention layer, both directions."""
    graph = load(name)
    csr, size = graph.looped, HEADS * WIDTH
    edges = torch.stack([csr.columns, csr.rows])
    x = torch.randn(graph.n_nodes, size, requires_grad=True)
    layer, peer = GAT(size, size, HEADS), GATConv(size, WIDTH, HEADS, add_self_loops=False)
    with torch.no_grad():
        peer.lin.weight.copy_(layer.weight.t())
        peer.att_src.copy_(layer.source)
        peer.att_dst.copy_(layer.target)
    if not whole:
        peer.lin = nn.Identity()

    def ours() -> Tensor:
        if whole:
            out = layer(csr, x)
        else:
            z = x.view(-1, HEADS, WIDTH)
            out = attend_heads(csr, z, layer.source[0], layer.target[0]).reshape(-1, size) + layer.bias
        out.square().sum().backward()
        return out

    def theirs() -> Tensor:
        out: Tensor = peer(x, edges)
        out.square().sum().backward()
        return out

    torch.testing.assert_close(ours(), theirs(), rtol=1e-3, atol=1e-4)
    part = "whole layer" if whole else "the sum alone"
    times = 5 if name == "Cora" else 1
    limits = {} if whole else {"must": 2.5, "aim": 5.0}
    return paired(
        f"attention, {part}, {name}",
        timed(ours, times),
        timed(theirs, times),
        unit="ms",
        repeats=repeats,
        higher_is_better=False,
        **limits,  # type: ignore[arg-type]
    )


def pagerank(name: str, tolerance: float, seeds: int, repeats: int) -> Row:
    """Scores of `seeds` nodes."""
    graph = load(name)
    csr = graph.adj
    edges = torch.stack([csr.columns, csr.rows])
    nodes = torch.randperm(graph.n_nodes, generator=torch.Generator().manual_seed(0))[:seeds]
    keep = int(ppr(csr, nodes, teleport=TELEPORT, tolerance=tolerance, keep=graph.n_nodes).counts.max())

    def ours() -> Tensor:
        return ppr(csr, nodes, teleport=TELEPORT, tolerance=tolerance, keep=keep).scores

    def theirs() -> Tensor:
        scores: Tensor = get_ppr(edges, TELEPORT, tolerance, nodes, graph.n_nodes)[1]
        return scores

    mine, found = float(ours().sum()) / seeds, float(theirs().sum()) / seeds
    if abs(mine - found) > 0.01:
        raise AssertionError(f"the scores of a node sum to {mine:.4f} here and to {found:.4f} there")
    return paired(
        f"PageRank, {name}, {tolerance:g}",
        timed(ours),
        timed(theirs),
        unit=f"ms, {seeds} seeds",
        repeats=repeats,
        higher_is_better=False,
        must=5.0,
        aim=15.0,
    )


def main() -> int:
    """Run the benchmark."""
    args = arguments(__doc__ or "").parse_args()
    torch.set_num_threads(THREADS)
    repeats = 3 if args.quick else 7
    rows = [attention(name, whole, repeats) for name in ("Cora", "CS", "Photo") for whole in (False, True)]
    rows += [pagerank("CS", 1e-4, 1000, repeats), pagerank("CS", 1e-5, 100, repeats)]
    return finish("Graph operators", rows, args, ("torch", "torch-geometric", "numba"))


if __name__ == "__main__":
    sys.exit(main())
