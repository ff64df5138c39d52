"""`espalier doctor`: what is wrong with a run, in words."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from espalier.cli.jobs import find_job
from espalier.cli.places import find_run
from espalier.core.errors import ConfigError
from espalier.core.recipe.resolve import load_recipe
from espalier.core.run.doctor import Examine, diagnose
from espalier.core.tracking.findings import Finding
from espalier.core.tracking.metrics import History

WIDTH = 110
"""Characters of a line."""


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier doctor`."""
    parser.add_argument("run", metavar="RUN", help="a run folder (runs/NAME/TIME), or NAME for its newest run")
    parser.add_argument("--json", action="store_true", help="print a JSON object instead")


def doctor(args: argparse.Namespace) -> int:
    """Print the findings; returns 0 whatever they are."""
    path = find_run(args.run)
    found = diagnose(path, _rules(path))
    if args.json:
        print(json.dumps({"run": str(path), "findings": [asdict(one) for one in found]}, indent=2, ensure_ascii=False))
        return 0
    print(path)
    if not found:
        print("nothing found")
    for number, one in enumerate(found, 1):
        _print(f"{number}. ", one.what)
        _print("   evidence: ", one.evidence)
        _print("   to do:    ", one.advice)
    return 0


def _rules(path: Path) -> Examine:
    """The rules of the run's job. Where its config is of another version, a finding says that they were left out."""
    try:
        recipe = load_recipe([path / "config.yaml"], [], find_job)
    except ConfigError as error:
        what = "the rules of the job were left out, as its config cannot be read"
        advice = "the other findings stand; the version that made the run has all rules"
        return partial(_only, Finding("no_rules", what, str(error), advice))
    return partial(recipe.job.examine, recipe.config)


def _only(finding: Finding, history: History) -> Sequence[Finding]:
    return [finding]


def _print(head: str, text: str) -> None:
    """Each line of `text` wrapped, after `head`, and indented as far."""
    for line in text.splitlines() or [""]:
        print(textwrap.fill(line, WIDTH, initial_indent=head, subsequent_indent=" " * len(head)))
        head = " " * len(head)
