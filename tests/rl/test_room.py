import asyncio
import re

import pytest
from scripted import ScriptedEnv, ScriptedTasks, tokenizer

from espalier.core.errors import ConfigError
from espalier.envs.api import Step
from espalier.lm.chat.plain import PlainRenderer
from espalier.rl.room import LOOKED_AT, check_room, prompt_lengths


def lengths(broken: str = "") -> tuple[list[int], list[ScriptedEnv]]:
    made: list[ScriptedEnv] = []

    def make() -> ScriptedEnv:
        made.append(ScriptedEnv(lambda turn, action: Step(), broken=broken))
        return made[-1]

    return asyncio.run(prompt_lengths(ScriptedTasks(make), PlainRenderer(tokenizer()), seconds=0.05)), made


def test_prompts_of_both_splits_are_measured_and_their_environments_closed():
    found, made = lengths()
    assert found == [3] * 2 * LOOKED_AT, "q, ? and the mark of the assistant's turn"
    assert all(env.closed for env in made)


@pytest.mark.parametrize("broken", ["reset raises", "reset hangs"])
def test_tasks_that_cannot_be_opened_are_left_to_the_run(broken: str):
    assert lengths(broken)[0] == []


@pytest.mark.parametrize(
    ("found", "max_len", "expected"),
    [([3, 3, 3], 13, None), ([], 1, None), ([3, 3, 9], 13, r"warning: 1 of 3 .* engine\.max_len=19 would hold them")],
)
def test_room_is_enough_or_told(found: list[int], max_len: int, expected: str | None):
    told = check_room(found, max_tokens=10, max_len=max_len)
    assert told is None if expected is None else re.search(expected, told or "")


def test_a_config_that_cannot_fit_is_refused():
    with pytest.raises(ConfigError, match=r"prompts of 3 to 9 tokens .* set engine\.max_len to 19 or more"):
        check_room([3, 9, 9], max_tokens=10, max_len=13)
