"""`espalier graph`: tables of methods, and graphs on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from espalier.cli.commands import running
from espalier.core.errors import ConfigError, EspalierError, MissingExtraError, nearest

WORK = {
    "table": "RECIPE [key=value ...]: run a table of methods and data sets, beside the published figures",
    "generate": "FOLDER: write an R-MAT graph with planted communities (--nodes, --edges, ...)",
    "convert": "EDGES FEATURES FOLDER: turn an edge list (CSV, Parquet) and a .npy of features into a graph on disk",
}


def add_graph(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier graph`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "\n".join(f"{name} {what}" for name, what in WORK.items())
    parser.add_argument("what", metavar="{table,generate,convert}")
    running.add_run(parser)
    parser.add_argument("--nodes", type=int, default=10_000, help="generate: nodes")
    parser.add_argument("--edges", type=int, default=100_000, help="generate: undirected edges, before duplicates go")
    parser.add_argument("--classes", type=int, default=16, help="generate: classes of nodes")
    parser.add_argument("--features", type=int, default=64, help="generate: width of the features")
    parser.add_argument("--seed", type=int, default=0, help="generate: seed")
    parser.add_argument("--labels", type=Path, help="convert: .npy of node labels")


def graph(args: argparse.Namespace) -> int:
    """Do what the first word says."""
    if args.what not in WORK:
        raise EspalierError(f"espalier graph cannot {args.what!r}{nearest(args.what, WORK)}")
    if args.what == "table":
        return running.run(args)
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
