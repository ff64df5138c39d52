import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, EnvError
from espalier.core.messages import Message, Role, ToolCall
from espalier.envs.api import Step, Task, TaskSet
from espalier.envs.arithmetic import evaluate, numbers
from espalier.envs.build import build_tasks
from espalier.envs.catalogue.brackets import PAIRS, closing
from espalier.envs.catalogue.calculator import TOOLS, operations
from espalier.envs.catalogue.guess_number import turns_allowed
from espalier.envs.catalogue.sorting import Sorting, SortingConfig
from espalier.envs.config import TasksConfig
from espalier.envs.procedural import final
from espalier.envs.splits import instance_key, split_of

PERFECT: dict[str, dict[str, Any]] = {
    "multiplication": {"direct": 0, "slips": 0},
    "countdown": {"direct": 0},
    "sorting": {"slips": 0},
    "reverse": {"slips": 0},
    "chain_sums": {"direct": 0, "slips": 0},
    "brackets": {"slips": 0},
    "calculator": {"direct": 0},
    "guess_number": {"slips": 0},
    "paths": {"direct": 0, "slips": 0},
    "programs": {"direct": 0, "slips": 0},
    "factoring": {"direct": 0, "slips": 0},
    "quantities": {"direct": 0, "slips": 0},
}
LEVELS: dict[str, Sequence[dict[str, Any]]] = {
    "multiplication": [{"digits": 1}, {"digits": 3}, {"digits": 7}],
    "countdown": [{"count": 2}, {"count": 3, "operators": "+-*/"}, {"count": 5, "largest": 50}],
    "sorting": [{"length": 3}, {"length": 5}, {"length": 16}],
    "reverse": [{"length": 3, "letters": 4}, {"length": 6}, {"length": 20, "letters": 26}],
    "chain_sums": [{"terms": 2, "digits": 1}, {"terms": 3}, {"terms": 8, "digits": 4}],
    "brackets": [{"length": 4}, {"length": 8}, {"length": 30, "kinds": 4}],
    "calculator": [{"terms": 2}, {"terms": 3}, {"terms": 6, "digits": 4}],
    "guess_number": [{"largest": 10}, {"largest": 60}, {"largest": 5000}],
    "paths": [{"nodes": 4}, {"nodes": 7}, {"nodes": 20, "edges": 1.5, "tries": 20}],
    "programs": [{"length": 1}, {"length": 3}, {"length": 5, "examples": 2}],
    "factoring": [{"largest": 20}, {"largest": 50}, {"largest": 1000, "tries": 200}],
    "quantities": [{"steps": 1}, {"form": "fill"}, {"steps": 4, "options": 8}],
}
CASES = [(env, level) for env, levels in LEVELS.items() for level in levels]


def make(*entries: dict[str, Any], seed: int = 0) -> TaskSet:
    config = TypeAdapter(TasksConfig).validate_python(list(entries))
    return build_tasks(config, seed=seed, data=DataRoot(None))


def replay(tasks: TaskSet, task: Task, messages: Sequence[Message]) -> tuple[float, Step]:
    """Play the assistant's part of `messages` against the environment; what the environment says must be theirs."""

    async def go() -> tuple[float, Step]:
        env = tasks.env(task)
        assert await env.reset(task) == [messages[0]]
        said = [i for i, message in enumerate(messages) if message.role == Role.ASSISTANT]
        total, step = 0.0, Step()
        for place, i in enumerate(said):
            step = await env.step(messages[i])
            total += step.reward or 0.0
            if not step.done:
                assert list(step.messages) == list(messages[i + 1 : said[place + 1]])
        await env.close()
        return total, step

    return asyncio.run(go())


def say(tasks: TaskSet, task: Task, text: str) -> float:
    async def go() -> float:
        env = tasks.env(task)
        await env.reset(task)
        return (await env.step(Message.assistant(text))).reward or 0.0

    return asyncio.run(go())


@pytest.mark.parametrize(("env", "level"), CASES)
def test_a_perfect_oracle_is_always_right(env: str, level: dict[str, Any]):
    tasks = make({"env": env, **level, **PERFECT[env]})
    for index in range(150):
        for split in ("train", "heldout"):
            task = tasks.task(split, index)
            reward, last = replay(tasks, task, tasks.demonstrate(task, Random(index)))
            assert (reward, last.done) == (1.0, True), task


@pytest.mark.parametrize("env", PERFECT)
def test_demonstrations_as_configured_leave_room_to_learn(env: str):
    tasks = make({"env": env})
    rewards = []
    for index in range(300):
        task = tasks.task("train", index)
        rewards.append(replay(tasks, task, tasks.demonstrate(task, Random(index)))[0])
    assert 0.2 < sum(rewards) / len(rewards) < 0.9


@pytest.mark.parametrize(("env", "level"), CASES)
def test_splits_are_disjoint_whatever_the_seed(env: str, level: dict[str, Any]):
    one, two = make({"env": env, **level}, seed=1), make({"env": env, **level}, seed=2)
    train = {one.task("train", i).key for i in range(400)}
    heldout = {two.task("heldout", i).key for i in range(400)}
    assert train.isdisjoint(heldout)
    assert len(train) > 3


@pytest.mark.parametrize("env", PERFECT)
def test_a_task_is_a_function_of_seed_split_and_index(env: str):
    one, two, other = make({"env": env}), make({"env": env}), make({"env": env}, seed=1)
    assert [one.task("train", i) for i in (5, 3, 9)] == [two.task("train", i) for i in (5, 3, 9)]
    assert [one.task("train", i).key for i in range(9)] != [other.task("train", i).key for i in range(9)]


@pytest.mark.parametrize("env", sorted({*PERFECT} - {"guess_number", "paths", "programs", "factoring"}))  # own tests
@given(text=st.text(alphabet="0123456789#+-*/()[]{}<> =abcdefgh", max_size=30), index=st.integers(0, 50))
def test_what_is_not_the_answer_earns_nothing(env: str, text: str, index: int):
    tasks = make({"env": env})
    task = tasks.task("train", index)
    if env == "countdown":
        right = final(text) is not None and reaches(final(text) or "", task)
    else:
        right = final(text) == task.answer
    assert say(tasks, task, text) == float(right)


def reaches(text: str, task: Task) -> bool:
    try:
        return sorted(numbers(text)) == sorted(task.data["numbers"]) and evaluate(text) == task.data["target"]
    except ValueError:
        return False


@pytest.mark.parametrize(
    "env", ["multiplication", "sorting", "reverse", "chain_sums", "brackets", "calculator", "quantities"]
)
def test_answers_beside_the_form_earn_nothing(env: str):
    tasks = make({"env": env})
    task = tasks.task("train", 0)
    answer = task.answer
    assert say(tasks, task, f"#{answer}") == 1.0
    hacks = [
        answer,
        f"#{answer} ",
        f"#{answer}#{answer}",
        f"#1 #{answer}",
        f"x#{answer}",
        f"# {answer}",
        "#",
        "",
        f"#{answer}\n",
    ]
    assert [say(tasks, task, hack) for hack in hacks] == [0.0] * len(hacks)


def test_formats_by_hand():
    tasks = make({"env": "multiplication", **PERFECT["multiplication"]})
    solve = tasks.solve  # type: ignore[attr-defined]
    assert solve({"a": 347, "b": 6}, Random(0)) == "7*6=42 4*6+4=28 3*6+2=20 #2082"
    sums = make({"env": "chain_sums", **PERFECT["chain_sums"]})
    assert sums.question({"terms": [31, 52, -17]}) == "31+52-17="  # type: ignore[attr-defined]
    assert sums.solve({"terms": [31, 52, -17]}, Random(0)) == "31+52=83 83-17=66 #66"  # type: ignore[attr-defined]
    assert operations("347*86-529") == ["347*86", "29842-529"]
    assert operations("5-3*4+2") == ["3*4", "5-12", "-7+2"]
    assert closing("[({}(") == "))]"
    assert [turns_allowed(n) for n in (1, 3, 4, 50, 63, 64)] == [1, 2, 3, 6, 6, 7]


def test_countdown_takes_any_right_expression_and_no_other():
    tasks = make({"env": "countdown"})
    task = Task("countdown", "k", {"numbers": [3, 25, 7], "target": 46})
    right = ["#25+3*7", "#7*3+25", "#(3*7)+25", "3+7=10 #25+3*7"]
    wrong = [
        "#46",
        "#25+21",
        "#25+3*7+0",
        "#25+3*7*1",
        "#2 5+3*7",
        "#25+3*07",
        "#7*3+25/1",
        "#3*7+5**2",
        "#0x2e",
        "#()",
    ]
    assert [say(tasks, task, text) for text in right] == [1.0] * len(right)
    assert [say(tasks, task, text) for text in wrong] == [0.0] * len(wrong)


@given(st.text(alphabet="0123456789+-*/() .eE_xj", max_size=40))
def test_expressions_are_parsed_and_never_executed(text: str):
    try:
        value = evaluate(text)
    except ValueError:
        return
    assert value == evaluate(f"({text})")
    assert all(isinstance(number, int) for number in numbers(text))


@pytest.mark.parametrize(
    "text", ["9" * 300, "(" * 150 + "1" + ")" * 150, "1/0", "2**99999", "1.5", "1_000", "", "a", "1;2"]
)
def test_expressions_that_are_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        evaluate(text)


@given(st.integers(-(10**9), 10**9), st.sampled_from("+-*"), st.integers(0, 10**9))
def test_the_calculator_calculates(left: int, sign: str, right: int):
    expected = {"+": left + right, "-": left - right, "*": left * right}[sign]
    assert calculated(ToolCall("calculate", {"expression": f"{left}{sign}{right}"})) == str(expected)


@pytest.mark.parametrize("expression", ["1+2+3", "2**9", "", "1/2", "1 + 2", "9" * 99 + "+1", None, 7])
def test_the_calculator_refuses_the_rest(expression: object):
    assert calculated(ToolCall("calculate", {"expression": expression})) == "error"


def calculated(call: ToolCall) -> str:
    return asyncio.run(TOOLS.open(Task("calculator", "k", {})).answer(call)).text


def test_calls_are_answered_until_there_are_too_many():
    tasks = make({"env": "calculator", "calls": 2})
    task = tasks.task("train", 0)
    call = ToolCall("calculate", {"expression": "1+1"}, id="a")

    async def go() -> list[Step]:
        env = tasks.env(task)
        await env.reset(task)
        return [await env.step(Message.assistant("", tool_calls=(call,))) for _ in range(3)]

    first, second, third = asyncio.run(go())
    assert first.messages == second.messages == (Message.tool("2", "a"),)
    assert (first.done, second.done, third.done, third.reward) == (False, False, True, 0.0)


@given(secret=st.integers(1, 50), seed=st.integers(0, 10**6))
def test_guessing_ends_within_its_turns(secret: int, seed: int):
    tasks = make({"env": "guess_number"})
    task = Task("guess_number", "k", {"high": 50, "secret": secret})
    random = Random(seed)

    async def go() -> None:
        env = tasks.env(task)
        await env.reset(task)
        for turn in range(1, 100):
            guess = random.randint(1, 50)
            step = await env.step(Message.assistant(f"#{guess}"))
            if step.done:
                assert step.reward == float(guess == secret)
                assert guess == secret or turn == 6
                return
            assert step.messages == (Message.user(">" if guess < secret else "<"),)

    asyncio.run(go())


@given(st.integers(0, 10**6), st.integers(3, 30), st.integers(1, 4))
def test_closing_brackets_balance(seed: int, length: int, kinds: int):
    tasks = make({"env": "brackets", "length": length, "kinds": kinds}, seed=seed)
    prefix = tasks.draw(Random(seed))["prefix"]  # type: ignore[attr-defined]
    text = prefix + closing(prefix)
    assert len(prefix) == length
    assert closing(prefix)
    while any(pair in text for pair in (a + b for a, b in PAIRS.items())):
        for a, b in PAIRS.items():
            text = text.replace(a + b, "")
    assert text == ""


def test_a_split_without_instances_is_an_error():
    class Same(Sorting):
        def draw(self, random: Random) -> dict[str, Any]:
            return {"digits": "312"}

    tasks = Same(SortingConfig(), seed=0)
    other = "heldout" if split_of(instance_key("sorting", {"digits": "312"})) == "train" else "train"
    with pytest.raises(ConfigError, match=f"2000 draws gave no {other} instance; make the tasks more difficult"):
        tasks.task(other, 0)


@pytest.mark.parametrize("env", PERFECT)
def test_step_before_reset_is_an_error(env: str):
    tasks = make({"env": env})
    with pytest.raises(EnvError, match="step before reset"):
        asyncio.run(tasks.env(tasks.task("train", 0)).step(Message.assistant("#1")))
