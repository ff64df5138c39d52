"""`espalier list`, `espalier config` and `espalier report`."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
from pathlib import Path

from espalier.cli.jobs import all_jobs, find_job
from espalier.cli.places import all_recipes, find_run, split_words
from espalier.core.errors import EspalierError
from espalier.core.io.text import text_lines
from espalier.core.recipe.resolve import load_recipe, schema
from espalier.core.report.build import build
from espalier.core.sockets import address, listening

PORT = 8000
"""As `espalier serve` and the gateway have it."""


def add_list(parser: argparse.ArgumentParser) -> None:
    """`espalier list` takes no arguments."""


def show_list(args: argparse.Namespace) -> int:
    """Print the recipes and the jobs, each with a line of summary."""
    _print_section("recipes", {name: _summary(path) for name, path in all_recipes().items()})
    jobs = {job.name: job.summary for job in all_jobs()}
    _print_section("jobs", jobs)
    return 0


def _summary(path: Path) -> str:
    """The first line of a recipe, where it is a comment; its whole first sentence, where that goes on below."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), (line for _, line in text_lines(path)))
    words = [line.removeprefix("#").strip() for line in lines]
    paragraph = list(itertools.takewhile(bool, words))
    if not paragraph or paragraph[0].endswith("."):
        return "".join(paragraph[:1])
    sentence, stop, _ = " ".join(paragraph).partition(". ")
    return sentence + stop.strip()


def _print_section(title: str, entries: dict[str, str]) -> None:
    width = max(map(len, entries), default=0)
    print(title)
    for name, summary in entries.items():
        print(f"  {name:<{width}}  {summary}".rstrip())


def add_config(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier config`."""
    parser.add_argument("words", nargs="+", metavar="RECIPE | key=value", help="recipe files, merged, then overrides")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of the recipe instead")


def show_config(args: argparse.Namespace) -> int:
    """Print every value of a recipe and where it was set."""
    files, overrides = split_words(args.words)
    recipe = load_recipe(files, overrides, find_job)
    if args.schema:
        print(json.dumps(schema(recipe.job), indent=2))
        return 0
    rows = [(key, json.dumps(value, ensure_ascii=False), origin) for key, value, origin in recipe.values()]
    keys, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    for key, value, origin in rows:
        print(f"{key:<{keys}}  {value:<{min(values, 40)}}  {origin}")
    for line in recipe.layers.dropped:
        print(line)
    return 0


def add_report(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier report`."""
    parser.add_argument("run", metavar="RUN", help="a run folder (runs/NAME/TIME), or NAME for its newest run")
    parser.add_argument("--serve", action="store_true", help="show it in the browser, and follow the run as it goes on")
    parser.add_argument(
        "--port", type=int, help=f"with --serve: port to listen on, 0 for any free one (default: {PORT})"
    )


def make_report(args: argparse.Namespace) -> int:
    """Make `report.html` again from the folder's files; the run may have finished, crashed or be going on."""
    path = find_run(args.run)
    if args.port is not None and not args.serve:
        raise EspalierError("--port is of `espalier report --serve`")
    if not args.serve:
        print(build(path))
        return 0
    from espalier.core.report.content import content
    from espalier.core.report.serve import HOST, serve

    content(path)  # what is wrong with the folder is said here, not in the browser
    with listening(HOST, PORT if args.port is None else args.port) as taken:
        taken.listen()
        print(f"report of {path} on {address(taken, HOST)} (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            serve(path, taken)
    return 0
