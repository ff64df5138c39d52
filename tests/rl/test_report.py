"""What the report of a run says: a gain is called one only where it is one."""

import pytest
from rl_runs import config

from espalier.core.report.blocks import Curves, Rollouts
from espalier.core.tracking.metrics import History, Point
from espalier.rl.report import story, training_report


def history(before: float, after: float, half: float) -> History:
    values = {"eval/avg": 0.0, "eval/avg_lo": -half, "eval/avg_hi": half}
    return {name: [Point(0, before + d, 0.0), Point(9, after + d, 0.0)] for name, d in values.items()}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0.2, 0.6, "Accuracy rose to 60.0% (+40.0 points, 95% interval +25.9 to +54.1)."),
        (0.6, 0.2, "Accuracy fell to 20.0%: the model became worse (-40.0 points, 95% interval -54.1 to -25.9)."),
        (0.5, 0.6, "At the end it solved 60.0%, which is no clear change (+10.0 points, 95% interval -4.1 to +24.1)."),
    ],
)
def test_the_story_by_sign_and_interval(before: float, after: float, words: str):
    told = story(config(), history(before, after, 0.1))
    assert told.endswith(words)
    assert "learned" not in told


def test_before_the_first_evaluation_the_story_has_no_result():
    assert story(config(), {}).endswith("It began after 60 steps of imitating demonstrations.")


def test_kl_is_drawn_where_there_is_a_reference_and_rollouts_where_they_are_kept():
    plain = training_report(config(), {})
    assert not any(isinstance(block, Curves) and "kl/ref" in block.metrics for block in plain)
    assert any(isinstance(block, Rollouts) for block in plain)
    settings = config(
        algorithm={"name": "grpo", "kl_coef": 0.1}, learner={"reference": "frozen"}, rollout_log={"groups": 0}
    )
    close = training_report(settings, {})
    assert any(isinstance(block, Curves) and "kl/ref" in block.metrics for block in close)
    assert not any(isinstance(block, Rollouts) for block in close)
