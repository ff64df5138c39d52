"""The page of the 27 systems: its paths and recipes exist, its numbers stand on the pages it links to."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from espalier.cli.places import all_recipes

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "systems" / "index.md"
SOURCE = ROOT / "src" / "espalier"


class Row(NamedTuple):
    number: str
    system: str
    paper: str
    claim: str
    state: str
    where: str
    recipe: str
    here: str


def rows(text: str) -> list[Row]:
    lines = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def unproved(row: Row) -> list[str]:
    """Numbers in the row's last cell, outside of code and links, that stand on none of the pages it links to."""
    pages = [PAGE.parent / target for target in re.findall(r"\]\(([^)]+)\)", row.here)]
    proof = " ".join(page.read_text(encoding="utf-8") for page in pages)
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", row.here)
    numbers = re.findall(r"\d[\d.,]*\d%?|\d%", prose)
    return [number for number in numbers if not re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", proof)]


ROWS = rows(PAGE.read_text(encoding="utf-8"))


def test_there_is_a_row_for_each_of_the_27() -> None:
    assert [row.number for row in ROWS] == [str(n) for n in range(1, 28)]
    assert len({row.paper for row in ROWS}) == 27


@pytest.mark.parametrize("row", ROWS, ids=[row.system for row in ROWS])
def test_a_row_is_so(row: Row) -> None:
    assert re.search(r"(20\d\d), \[(\d{4}\.\d{5})\]\(https://arxiv\.org/abs/\2\)", row.paper)
    assert row.state.partition(";")[0] in ("works", "begun", "planned")
    if row.state == "planned":
        assert (row.where, row.recipe, row.here) == ("–", "–", "–")
        return
    assert quoted(row.where)
    assert [path for path in quoted(row.where) if not (SOURCE / path).exists()] == []
    assert [name for name in quoted(row.recipe) if name not in all_recipes()] == []
    assert unproved(row) == []


def test_what_works_names_a_recipe_and_the_command_behind_its_numbers() -> None:
    for row in ROWS:
        if row.state.startswith("works"):
            assert quoted(row.recipe), row.system
            assert re.search(r"`(espalier|python benchmarks/)", row.here), row.system


def test_commands_name_scripts_and_recipes_that_exist() -> None:
    commands = [command for row in ROWS for command in quoted(row.here)]
    scripts = [words[1] for words in map(str.split, commands) if words[0] == "python"]
    recipes = [words[-1] for words in map(str.split, commands) if words[0] == "espalier"]
    assert scripts
    assert [script for script in scripts if not (ROOT / script).is_file()] == []
    assert recipes
    assert [recipe for recipe in recipes if recipe not in all_recipes()] == []


@pytest.mark.parametrize("page", [PAGE, ROOT / "README.md"], ids=["page", "readme"])
def test_the_counts_are_those_of_the_rows(page: Path) -> None:
    states = [row.state.partition(";")[0] for row in ROWS]
    counts = (f"{states.count('works')} systems work", f"{states.count('begun')} are begun")
    text = page.read_text(encoding="utf-8")
    assert f"{counts[0]}, {counts[1]} and {states.count('planned')} are planned" in text


def test_the_readme_names_as_many_systems_of_each_state() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("| field | works | begun | planned |") + 2
    table = [
        [cell.strip() for cell in line.strip("|").split("|")][1:] for line in lines[start : lines.index("", start)]
    ]
    named = [sum(len(cell.split(", ")) for cell in column if cell) for column in zip(*table, strict=True)]
    states = [row.state.partition(";")[0] for row in ROWS]
    assert named == [states.count(state) for state in ("works", "begun", "planned")]


def test_a_number_without_proof_is_found() -> None:
    row = ROWS[0]._replace(here="Cora 99.99 ± 0.84: [results](../graph/results.md)")
    assert unproved(row) == ["99.99"]
