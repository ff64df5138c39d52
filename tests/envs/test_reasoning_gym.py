"""reasoning-gym's tasks as its scorers are: some raise, some pay for anything, some never end."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from espalier.core.errors import ConfigError
from espalier.envs.adapters.reasoning_gym import ReasoningGym, ReasoningGymConfig, gallery_pool
from espalier.envs.api import Step, Task
from espalier.envs.workers.pool import Pool

pytest.importorskip("reasoning_gym")
NOTHING = [
    *("", " ", "\n", "?", "x", "None", "null", "nan", "NaN", "inf", "-inf", "Infinity", "nan+nanj", "1e400", "zzzz"),
    *("[]", "{}", "()", "''", "...", "undefined", "True False", "\x00", "\u200b"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = gallery_pool()
    yield made
    made.close()


def puzzles(pool: Pool, name: str, **settings: object) -> ReasoningGym:
    return ReasoningGym(ReasoningGymConfig.model_validate({"task": name, **settings}), 0, pool)


def judged(tasks: ReasoningGym, task: Task, *answers: str) -> list[Step]:
    async def go() -> list[Step]:
        return list(await asyncio.gather(*(tasks.judge(task, answer) for answer in answers)))

    return asyncio.run(go())


@pytest.mark.parametrize(
    "name",
    [
        *("complex_arithmetic", "game_of_life_halting", "advanced_geometry", "fraction_simplification", "boxnet"),
        *("emoji_mystery", "color_cube_rotation", "gsm_symbolic", "isomorphic_strings", "gcd", "jugs", "composite"),
    ],
)
def test_answers_to_nothing_earn_nothing(pool: Pool, name: str):
    options = {"datasets": [{"name": "gcd", "weight": 1.0, "config": {}}]} if name == "composite" else {}
    tasks = puzzles(pool, name, options=options)
    for index in range(3):
        task = tasks.task("train", index)
        wrong = [*NOTHING, task.data["question"], f"{task.data['question']} {task.answer}"]
        assert [step.reward for step in judged(tasks, task, *wrong)] == [0.0] * len(wrong)
        if task.answer:
            assert [step.reward for step in judged(tasks, task, task.answer, f" {task.answer}\n")] == [1.0, 1.0]


def test_a_right_answer_is_paid_where_the_scorer_pays_everything(pool: Pool):
    tasks = puzzles(pool, "game_of_life_halting")
    answers = {task.answer for task in (tasks.task("train", index) for index in range(12))}
    assert answers == {"True", "False"}, "an answer that is false is an answer"


def test_part_of_the_pay_stays_for_part_of_the_work(pool: Pool):
    tasks = puzzles(pool, "complex_arithmetic")
    task = tasks.task("train", 0)
    real = task.answer.split(" ")[0]
    near = task.answer.replace(real, str(float(real) + 0.1), 1)
    (step,) = judged(tasks, task, near)
    assert step.reward is not None
    assert 0.5 < step.reward < 1.0


def test_a_scorer_that_raises_is_a_score_of_0_and_counted(pool: Pool):
    tasks = puzzles(pool, "prime_factorization")
    task = tasks.task("train", 0)
    broken, fine = judged(tasks, task, "no numbers", task.answer)
    assert (broken.reward, broken.info) == (0.0, {"scorer_errors": 1.0})
    assert (fine.reward, fine.info) == (1.0, {"scorer_errors": 0.0})


def test_a_scorer_without_end_is_ended_and_the_loop_goes_on(pool: Pool):
    tasks = puzzles(pool, "countdown", seconds=0.5)
    task = tasks.task("train", 0)

    async def go() -> tuple[list[Step], float]:
        last, gap = time.monotonic(), 0.0
        answers = ["9**9**9**9", task.answer, "9**9**9**9", task.answer]
        work = asyncio.gather(*(tasks.judge(task, answer) for answer in answers))
        while not work.done():
            await asyncio.sleep(0.005)
            now = time.monotonic()
            last, gap = now, max(gap, now - last)
        return list(await work), gap

    steps, gap = asyncio.run(go())
    assert [step.reward for step in steps] == [0.0, 1.0, 0.0, 1.0]
    assert [step.info["scorer_errors"] for step in steps] == [1.0, 0.0, 1.0, 0.0]
    assert gap < 0.4


@pytest.mark.parametrize("name", ["gsm_symbolic", "list_functions", "word_ladder"])
def test_tasks_that_cannot_hold_two_billion_puzzles(pool: Pool, name: str):
    tasks = puzzles(pool, name)
    task = tasks.task("heldout", 0)
    assert judged(tasks, task, task.answer)[0].reward == 1.0


def test_what_cannot_be_set_up_says_so(pool: Pool):
    with pytest.raises(ConfigError, match="options of the reasoning-gym task composite: Must specify at least one"):
        puzzles(pool, "composite")
    with pytest.raises(ConfigError, match=r"options of the reasoning-gym task gcd: .*multiple values .* 'size'"):
        puzzles(pool, "gcd", options={"size": 3})


SHOW = """
from espalier.envs.adapters.reasoning_gym import ReasoningGym, ReasoningGymConfig
for name in ("isomorphic_strings", "ransom_note"):
    tasks = ReasoningGym(ReasoningGymConfig(task=name), 0)
    print([tasks.task("train", index).key for index in range(20)])
"""


@pytest.mark.slow
def test_tasks_do_not_follow_the_hash_seed():
    said = {
        subprocess.run(
            [sys.executable, "-c", SHOW],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
