"""The command line with one domain more, `toy`, whose job counts steps slowly and can be resumed."""

import sys
import time
from collections.abc import Callable

from espalier.cli import jobs
from espalier.cli.main import main
from espalier.core.config import Config
from espalier.core.errors import DataError
from espalier.core.io.files import atomic_dir
from espalier.core.job import Job
from espalier.core.report.blocks import Curves
from espalier.core.run.run import Run


class Count(Config):
    """Counts."""

    steps: int = 3
    """How far."""
    pause: float = 0.0
    fail_at: int = 0
    crash_at: int = 0
    data: str = ""


def count(config: Count, run: Run) -> dict[str, float]:
    done = max((int(path.name) for path in run.checkpoints.iterdir()), default=0)
    run.metrics.rewind(done)
    if config.data:
        run.data.file(config.data)
    with run.progress(config.steps, "counting") as progress:
        for step in range(done + 1, config.steps + 1):
            if step == config.fail_at:
                raise DataError("rows.jsonl:7: bad row")
            if step == config.crash_at:
                _ = 1 / 0
            time.sleep(config.pause if step > 1 else 0.0)
            run.metrics.log(step, {"count": step})
            progress.update(step, {"count": step})
            with atomic_dir(run.checkpoints / str(step)) as folder:
                (folder / "count").write_text(str(step))
            if run.stop.requested:
                break
    run.report([Curves("Count", ["count"])])
    return {"total": float(step)}


def needs_absent_package() -> Callable[..., dict[str, float]]:
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


TOY = (
    Job("toy.count", "counts slowly", Count, lambda: count),
    Job("toy.absent", "needs a package that is not installed", Count, needs_absent_package),
)

if __name__ == "__main__":
    jobs.DOMAINS = {"toy": lambda: TOY}
    sys.exit(main())
