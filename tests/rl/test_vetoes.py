from pathlib import Path

import pytest
from rl_runs import SMALL, config, finish, start


@pytest.mark.parametrize(("vetoes", "accuracy"), [(False, 1.0), (True, 0.0)])
def test_evaluations_count_penalties_only_if_asked_to(tmp_path: Path, vetoes: bool, accuracy: float):
    settings = config(
        rewards=[{"kind": "regex", "pattern": ""}, {"kind": "penalties"}],
        warm_start={"steps": 0},
        steps=1,
        rollout={**SMALL["rollout"], "max_tokens": 1},
        evaluation={**SMALL["evaluation"], "vetoes": vetoes},
    )
    run = start(tmp_path, settings)
    assert finish(run, settings)["accuracy_before"] == pytest.approx(accuracy, abs=0.2), "nearly all are cut off"
