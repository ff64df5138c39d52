"""Starting is quick because it imports little. Modules are counted rather than seconds, which depend on the machine."""

import subprocess
import sys
import time

import pytest

HEAVY = {"torch", "transformers", "numpy", "tokenizers", "pandas", "matplotlib", "tensorboard", "wandb", "jinja2"}


def imported_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("code", ["import espalier", "from espalier.cli.main import main; main(['--help'])"])
def test_starting_imports_nothing_heavy(code: str) -> None:
    assert not imported_by(code) & (HEAVY | {"pydantic", "rich", "yaml"})


@pytest.mark.parametrize(
    "code",
    [
        "from espalier.core.run.run import Run",
        "from espalier.cli.commands import data, running, showing",
        "import espalier.rl.config",
        "import espalier.cli.commands.data",
    ],
)
def test_configs_and_runs_need_no_torch(code: str) -> None:
    assert not imported_by(code) & (HEAVY - {"numpy"})


@pytest.mark.parametrize(
    ("code", "limit"), [("import espalier", 0.5), ("from espalier.cli.main import main; main(['--help'])", 1.0)]
)
def test_it_is_quick(code: str, limit: float) -> None:
    def seconds() -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(3)) < limit
