"""The published result files: what they say follows from their cells, and their recipes still compute the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from espalier.cli.jobs import HOUSE, find_job
from espalier.core.recipe.resolve import load_recipe
from espalier.core.study.cells import cells_of
from espalier.core.study.config import StudyConfig
from espalier.core.study.results import COLUMNS, Results, markdown, read_results, table
from espalier.core.study.targets import Row, judge

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "docs" / "systems" / "results").glob("*.json"))


def config_of(file: Path, found: Results) -> tuple[StudyConfig, int]:
    """The study of the recipe of the same name, with the seeds of the file, and the first of them."""
    (recipe,) = ROOT.glob(f"src/espalier/recipes/*/{file.stem}.yaml")
    seeds = sorted({cell.seed for cell in found.cells})
    assert seeds == list(range(seeds[0], seeds[-1] + 1))
    config = load_recipe([recipe], [f"seeds={len(seeds)}"], find_job).config
    assert isinstance(config, StudyConfig)
    return config, seeds[0]


def same(ours: Row, theirs: Row) -> bool:
    numbers = [(ours.value, theirs.value), (ours.low, theirs.low), (ours.high, theirs.high)]
    close = all(a == b or (a is not None and b is not None and abs(a - b) < 1e-9) for a, b in numbers)
    words = [(row.name, row.kind, row.target, row.seeds, row.verdict) for row in (ours, theirs)]
    return close and words[0] == words[1]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_rows_follow_from_cells_and_recipe(file: Path) -> None:
    found = read_results(file)
    config, first = config_of(file, found)
    rows = judge(config, found.cells)
    assert len(rows) == len(found.rows)
    assert [(ours, theirs) for ours, theirs in zip(rows, found.rows, strict=True) if not same(ours, theirs)] == []
    today = {(cell.arm, cell.seed): cell.digest for cell in cells_of(config, first, HOUSE) if not cell.is_warm}
    published = {(cell.arm, cell.seed): cell.config_hash for cell in found.cells}
    stale = [f"{arm}, seed {seed}" for (arm, seed), digest in published.items() if today.get((arm, seed)) != digest]
    assert stale == [], f"{file.name} was measured with other settings than its recipe has now: run the study again"
    assert today.keys() == published.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_file_has_the_fields_of_the_rules(file: Path) -> None:
    plain = json.loads(file.read_text())
    assert list(plain) == ["rows", "cells", "command", "commit", "machine", "seconds"]
    assert {tuple(row) for row in plain["rows"]} == {
        ("name", "kind", "value", "low", "high", "target", "seeds", "verdict")
    }
    fields = {"arm", "seed", "value", "tokens", "cpu_seconds", "config_hash"}
    assert all(fields <= cell.keys() <= fields | {"others"} for cell in plain["cells"])
    assert any(row["kind"] == "control" for row in plain["rows"])


STUDIES = [
    recipe
    for recipe in sorted(ROOT.glob("src/espalier/recipes/*/*.yaml"))
    if "job: core.study" in recipe.read_text().splitlines()
]


@pytest.mark.parametrize("recipe", STUDIES, ids=lambda recipe: recipe.stem)
@pytest.mark.parametrize("variant", ["full", "smoke"])
def test_every_cell_of_a_study_resolves(recipe: Path, variant: str) -> None:
    config = load_recipe([recipe], [f"variant={variant}"], find_job).config
    assert isinstance(config, StudyConfig)
    chosen = config.chosen()
    found = cells_of(chosen, 0, HOUSE)
    assert len({cell.digest for cell in found}) == len(found)
    assert any(name in config.controls for name, _ in chosen.statements()), "a smoke variant keeps its control"


def test_the_page_shows_the_published_table() -> None:
    found = read_results(ROOT / "docs" / "systems" / "results" / "skip_zero_variance.json")
    assert markdown(COLUMNS, table(found.rows)) in (ROOT / "docs" / "studies.md").read_text()
