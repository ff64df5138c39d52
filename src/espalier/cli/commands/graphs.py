"""`espalier graph`: graphs on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from espalier.cli.options import settle
from espalier.core.errors import ConfigError, EspalierError, MissingExtraError, nearest

WORK = {
    "generate": "FOLDER: write an R-MAT graph with planted communities",
    "convert": "EDGES FEATURES FOLDER: turn an edge list (CSV, Parquet) and a .npy of features into a graph on disk",
}
SIZES = {"nodes": 10_000, "edges": 100_000, "classes": 16, "features": 64}
TAKES = {**dict.fromkeys((*SIZES, "seed"), ("generate",)), "labels": ("convert",)}
"""The subcommands of each option."""


def add_graph(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier graph`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "\n".join(f"{name} {what}" for name, what in WORK.items())
    parser.add_argument("what", metavar="{" + ",".join(WORK) + "}")
    parser.add_argument("words", nargs="*", metavar="FILE | FOLDER", help="see above")
    parser.add_argument("--nodes", type=int, help="generate: nodes (default: 10000)")
    parser.add_argument("--edges", type=int, help="generate: undirected edges, duplicates included (default: 100000)")
    parser.add_argument("--classes", type=int, help="generate: classes of nodes (default: 16)")
    parser.add_argument("--features", type=int, help="generate: width of the features (default: 64)")
    parser.add_argument("--seed", type=int, help="generate: seed (default: 0)")
    parser.add_argument("--labels", type=Path, help="convert: .npy of node labels")


def graph(args: argparse.Namespace) -> int:
    """Do what the first word says."""
    if args.what not in WORK:
        raise EspalierError(f"espalier graph cannot {args.what!r}{nearest(args.what, WORK)}")
    settle(args, "espalier graph", TAKES, **SIZES, seed=0)
    wanted = 1 if args.what == "generate" else 3
    if len(args.words) != wanted:
        usage = f"espalier graph {args.what} {WORK[args.what].partition(':')[0]}"
        raise EspalierError(f"usage: {usage}; found {len(args.words)} words after {args.what!r}")
    folder = Path(args.words[-1])
    if folder.exists():
        raise EspalierError(f"{folder} exists already: choose another folder, or remove it")
    if min(args.nodes, args.edges, args.classes, args.features) < 1:
        raise ConfigError("--nodes, --edges, --classes and --features are at least 1")
    try:
        from espalier.graph.sampling.convert import convert
        from espalier.graph.sampling.rmat import write_rmat
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "graph") from error
    if args.what == "generate":
        write_rmat(folder, args.nodes, args.edges, classes=args.classes, width=args.features, seed=args.seed)
    else:
        convert(Path(args.words[0]), Path(args.words[1]), folder, args.labels)
    print(f'graph: {folder}; use it as `data.name={folder}` or `graph.load("{folder}")`')
    return 0
