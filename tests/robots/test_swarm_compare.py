"""The table of methods and cases: what is flown, that finished flights are kept, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from espalier.core.errors import ConfigError
from espalier.core.run.pieces import read_piece, write_piece
from espalier.core.run.run import Run
from espalier.robots.swarm.compare.config import TableConfig
from espalier.robots.swarm.compare.job import SHOWN, make_table

TABLE = TableConfig.of(
    base={"n": 5, "seconds": 2.0, "failures": [{"share": 0.2, "at_s": 0.5}], "goal": [-19, 0, 1.5]},
    cases={
        "forest": {"world": {"kind": "forest", "approach_m": 24, "rings": 0}},
        "lossy": {"comms": {"loss": 0.3}},
    },
    methods=("goal", "kcore"),
    seeds=2,
    workers=1,
)


def test_cases_change_the_base_and_methods_the_planner() -> None:
    forest, lossy = TABLE.flight("forest", "goal"), TABLE.flight("lossy", "kcore")
    assert (forest.n, forest.world.kind, forest.planner.method, forest.comms.loss) == (5, "forest", "goal", 0.0)
    assert (lossy.n, lossy.world.kind, lossy.planner.method, lossy.comms.loss) == (5, "open", "registration", 0.3)
    assert lossy.planner.register_by.method == "kcore"
    assert lossy.failures == forest.failures == TABLE.base.failures


def test_what_a_case_asks_for_is_flown_or_refused() -> None:
    """A case's settings win over the method's; those that make the method are refused by their key."""
    waits = TableConfig.of(base={"planner": {"pace": 0.7}}, cases={"a": {"planner": {"stall_s": 9.0}}, "b": {}})
    squares = waits.flight("a", "least_squares").planner
    assert (squares.register_by.method, squares.stall_s, squares.pace) == ("least_squares", 9.0, 0.7)
    assert waits.flight("b", "least_squares").planner.stall_s is None, "the method's, where nobody says otherwise"
    for settings, says in (
        ({"cases": {"a": {"planner": {"method": "goal"}}}}, r"a: planner\.method"),
        ({"cases": {"a": {"planner": {"register_by": {"method": "gnc"}}}}}, r"a: planner\.register_by\.method"),
        ({"base": {"planner": {"method": "goal"}}}, r"base: planner\.method"),
        ({"cases": {"a": {"planner": 3}}}, "planner"),
        ({"cases": {"a": {"planner": {"register_by": 3}}}}, "register_by"),
    ):
        with pytest.raises(ConfigError, match=says):
            TableConfig.of(**settings)


@pytest.mark.parametrize(
    ("cases", "says"),
    [({"a": {"wind": 3}}, "wind"), ({"a": {"n": 0}}, "n"), ({}, "cases"), ({"a": {"world": {"kind": "sea"}}}, "kind")],
)
def test_a_case_that_is_no_flight_is_named(cases: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TableConfig.of(cases=cases)


def test_the_job_flies_all_and_keeps_what_is_finished(tmp_path: Path) -> None:
    with Run.create(tmp_path, job="robots.formation_table", name="table") as run:
        found = make_table(TABLE, run)
    files = sorted((run.checkpoints / "flights").iterdir())
    assert len(files) == 8
    assert {f"{case}: {method}: touches" for case in TABLE.cases for method in TABLE.methods} <= found.keys()
    table = (run.path / "artefacts" / "table.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith(("| goal", "| kcore"))]
    assert len(rows) == 4
    assert all(len(row.split(" | ")) == len(SHOWN) + 1 for row in rows)
    assert "cases.svg" in {file.name for file in (run.path / "artefacts").iterdir()}
    first = read_piece(files[0])
    assert (first["case"] in TABLE.cases, first["method"] in TABLE.methods, first["seed"] in (0, 1)) == (True,) * 3
    write_piece(files[0], {**first, "figures": {**first["figures"], "error_percent": 99.0}})
    files[1].unlink()
    with Run.reopen(run.path) as resumed:
        again = make_table(TABLE, resumed)
    changed = [name for name in found if again[name] != found[name]]
    assert len(changed) == 1
    assert changed[0].endswith("error_percent"), "the file is read, not flown again; the missing one is flown as before"
    assert len(list((run.checkpoints / "flights").iterdir())) == 8
    write_piece(files[0], {**first, "figures": {**first["figures"], "error_percent": None}})
    with Run.reopen(run.path) as resumed:
        without = make_table(TABLE, resumed)
    assert found.keys() - without.keys() == {f"{first['case']}: {first['method']}: error_percent"}, (
        "of half there is none"
    )
