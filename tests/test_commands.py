"""Every command of README and the documentation runs in a clean clone, a long one in a short form."""

from pathlib import Path

import pytest
from collected import REPOSITORY, cells_of, collected, commands_of
from plans import PLANS, Plan, Unrun
from workplace import LONGEST_S, SLOW_S, Workplace, data_root, free_port, serving, with_time

from espalier.core.fetch.catalogue import SMOLLM2

SHOWN = collected()
RUN = {command: plan for command in SHOWN if isinstance(plan := PLANS.get(command), Plan)}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("commands"))


def test_a_page_shows_what_is_collected() -> None:
    page = "\n".join(
        [
            "```console",
            "$ espalier run a \\",
            "    b=1   # why",
            "run runs/a",
            "$ serve &",
            "```",
            "```bash",
            "make demo  # it",
            "",
            "espalier list",
            "```",
            "```python",
            "$ no",
            "```",
            "| what | `espalier x y=1` | `espalier.core` |",
        ]
    )
    found = list(commands_of(page))
    assert found == ["espalier run a b=1", "serve", "make demo", "espalier list", "espalier x y=1"]


def test_every_command_has_a_plan() -> None:
    unknown = {command: pages for command, pages in SHOWN.items() if command not in PLANS}
    assert not unknown, "say in tests/commands/plans.py how these are tested"
    assert len(RUN) > 50


def test_every_plan_is_of_a_command() -> None:
    assert not PLANS.keys() - SHOWN.keys(), "no page shows these: remove them from tests/commands/plans.py"
    assert all(plan.why for plan in PLANS.values() if isinstance(plan, Unrun))


def test_evidence_runs_the_commands_of_the_tables() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    shown = list(cells_of((REPOSITORY / "README.md").read_text(encoding="utf-8")))
    assert len(shown) > 8
    missing = [command for command in shown if f'"{command}"' not in makefile]
    assert not missing, "add them to EVIDENCE in the Makefile"


def _marked(command: str) -> object:
    plan = RUN[command]
    marks = [*([pytest.mark.slow] if plan.slow else []), *([pytest.mark.ray] if plan.alone else [])]
    return pytest.param(command, marks=marks)


@pytest.mark.parametrize("command", [_marked(command) for command in RUN])
def test_the_command_runs(command: str, workplace: Workplace) -> None:
    plan = RUN[command]
    if "model" in plan.given and not SMOLLM2.present():
        pytest.skip("the model is not in the data cache")
    data = data_root() if plan.data else None
    if plan.data and data is None:
        pytest.skip("no data root: set ESPALIER_DATA")
    place, more = workplace.place(plan)
    environment = workplace.environment(data) | more
    ports = {"port": free_port(), "other": free_port()}
    added = plan.add.format(**ports) if "{port}" in plan.add else plan.add
    asked = plan.instead.format(**ports) if "{port}" in plan.instead else plan.instead
    words = f"{asked or with_time(command, place)} {added}".strip()
    if plan.alone:
        words = f"unshare -n sh -c 'ip link set lo up; {words}'"
    if plan.server:
        with serving(words, place, environment, plan.server):
            return
    if plan.beside:
        with serving(plan.beside.format(**ports), place, environment, "on http://"):
            done = workplace.run(words, place, environment)
    else:
        done = workplace.run(words, place, environment, SLOW_S if plan.slow else LONGEST_S)
    assert done.returncode == 0, f"{words}\n{done.stdout}"
    assert plan.says in done.stdout, f"{words}\n{done.stdout}"


@pytest.mark.parametrize("command", [command for command, plan in RUN.items() if plan.data])
def test_it_says_which_data_it_lacks(command: str, workplace: Workplace) -> None:
    place = workplace.empty()
    done = workplace.run(command, place, workplace.environment())
    assert done.returncode == 2, done.stdout
    (line,) = done.stdout.splitlines()
    assert "no data root is known" in line
    assert "ESPALIER_DATA" in line
    assert not _left(place)


def _left(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if not path.is_symlink())
