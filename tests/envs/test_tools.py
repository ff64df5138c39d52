"""Typed functions as tools: schemas, checked arguments, and faults that the model is told of."""

import asyncio
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from transformers.utils import get_json_schema

from espalier.core.errors import ConfigError, EnvError
from espalier.core.messages import Message, Role, ToolCall
from espalier.envs.api import Step, Task
from espalier.envs.tools import Done, Tool, ToolBox, ToolFaultError, ToolTasks, call
from espalier.envs.tools.box import Answer

TASK = Task("tools", "k", {"question": "?", "answer": "3"})


def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: the first number
        b: the second number,
            one unless given

    Returns:
        a: is no argument here
    """
    return a + b


@dataclass
class Place:
    x: int
    y: int = 0


class Window(BaseModel):
    low: float
    high: float | None = None


def look(
    at: Place,
    within: Window,
    mode: Literal["fast", "slow"] = "fast",
    names: list[str] | None = None,
    weights: dict[str, float] = {},  # noqa: B006
    note: Optional[str] = None,  # noqa: UP045
    deep: bool = False,
) -> dict[str, Any]:
    """Look around.
    at: where
    mode: how
    """
    return {"x": at.x + at.y, "high": within.high, "mode": mode, "names": names, "deep": deep}


def answer(tools: list[Any], name: str, arguments: dict[str, Any], **options: Any) -> Answer:
    return asyncio.run(ToolBox(tools, **options).open(TASK).answer(ToolCall(name, arguments)))


def test_a_schema_by_hand():
    assert Tool.of(add).spec.parameters == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "description": "the first number"},
            "b": {"type": "integer", "description": "the second number, one unless given", "default": 1},
        },
        "required": ["a"],
    }
    assert Tool.of(add).spec.description == "Add two numbers."
    properties = Tool.of(look).spec.parameters["properties"]
    assert properties["at"] == {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}},
        "required": ["x"],
        "description": "where",
    }
    assert properties["within"]["properties"]["high"] == {"type": "number", "nullable": True, "default": None}
    assert properties["mode"] == {"enum": ["fast", "slow"], "type": "string", "description": "how", "default": "fast"}
    assert properties["names"] == {"type": "array", "items": {"type": "string"}, "nullable": True, "default": None}
    assert properties["weights"] == {"type": "object", "additionalProperties": {"type": "number"}, "default": {}}
    assert properties["deep"] == {"type": "boolean", "default": False}
    assert Tool.of(look).spec.description == "Look around."


def temperature(city: str, days: int, units: list[str]) -> str:
    """Say the temperature.

    Args:
        city: The city's name.
        days: Days from today.
        units: Units to answer in.
    """
    return city


def test_a_schema_agrees_with_the_one_of_transformers():
    theirs = get_json_schema(temperature)["function"]
    ours = Tool.of(temperature).spec
    assert (ours.name, ours.description, ours.parameters) == (
        theirs["name"],
        theirs["description"],
        theirs["parameters"],
    )


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({}, "add: the argument 'a' is missing. It is called as add(a: int, b: int = 1)"),
        ({"a": 1, "c": 2}, "add: there is no argument 'c'; there is a, b. It"),
        ({"a": "x"}, "add: the argument 'a' cannot be 'x': input should be a valid integer"),
        ({"a": None}, "add: the argument 'a' cannot be None: input should be a valid integer"),
        ({"a": 1.5}, "add: the argument 'a' cannot be 1.5: input should be a valid integer"),
    ],
)
def test_wrong_arguments_are_told_to_the_model(arguments: dict[str, Any], fault: str):
    found = answer([add], "add", arguments)
    assert found.fault
    assert found.text.startswith(fault)
    assert answer([add], "add", arguments, explain=False) == Answer("error", fault=True)


def test_arguments_are_converted():
    assert answer([add], "add", {"a": "2", "b": 3.0}) == Answer("5")
    found = answer([look], "look", {"at": {"x": 1, "y": "2"}, "within": {"low": 0}, "deep": "true"})
    assert found == Answer('{"x":3,"high":null,"mode":"fast","names":null,"deep":true}')
    assert answer([look], "look", {"at": {"y": 2}, "within": {"low": 0}}).text.startswith(
        "look: the argument 'at.x' cannot be {'y': 2}: field required"
    )
    assert answer([temperature], "temperature", {"city": 12, "days": 1, "units": []}) == Answer("12")


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", ""]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
            max_leaves=4,
        ),
    )
)
def test_arguments_either_fit_or_are_refused(arguments: dict[str, Any]):
    tool = Tool.of(add)
    try:
        checked = tool.check(arguments)
    except ToolFaultError:
        return
    assert set(arguments) <= {"a", "b"}
    assert "a" in arguments
    assert all(type(value) is int for value in checked.values())


def odd(kind: str) -> Any:
    """Does odd things."""
    match kind:
        case "raise":
            return {}["boom"]
        case "exit":
            raise SystemExit(3)
        case "stop":
            raise StopIteration
        case "sleep":
            time.sleep(0.6)
        case "long":
            return "x" * 5000
        case "half":
            return "\ud83d!"
        case "object":
            return object
        case "outage":
            raise EnvError("the database is down")
    return None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("raise", "odd: KeyError: 'boom'"),
        ("exit", "odd: SystemExit: 3"),
        ("stop", "odd: StopIteration: "),
        ("sleep", "odd: the call took longer than 0.2 s"),
        ("long", "x" * 4000 + "\n[cut: these are the first 4000 of 5000 characters]"),
    ],
)
def test_what_goes_wrong_in_a_tool_is_an_observation(kind: str, text: str):
    raised = kind in ("raise", "exit", "stop")
    assert answer([odd], "odd", {"kind": kind}, seconds=0.2) == Answer(text, fault=True, raised=raised)


def test_other_results():
    assert answer([odd], "odd", {"kind": ""}) == Answer("null")
    assert answer([odd], "odd", {"kind": "half"}) == Answer("?!")
    assert "object" in answer([odd], "odd", {"kind": "object"}).text
    assert answer([odd], "od", {}) == Answer("there is no tool 'od'; did you mean 'odd'?", fault=True)
    with pytest.raises(EnvError, match="the database is down"):
        answer([odd], "odd", {"kind": "outage"})


async def later(seconds: float) -> str:
    """Wait."""
    await asyncio.sleep(seconds)
    return "done"


def block(seconds: float) -> str:
    """Block."""
    time.sleep(seconds)
    return "done"


@pytest.mark.parametrize("tool", [later, block])
def test_calls_do_not_wait_for_each_other(tool: Any):
    box = ToolBox([tool], seconds=5)

    async def go() -> list[Answer]:
        asked = ToolCall(tool.__name__, {"seconds": 0.2})
        return await asyncio.gather(*(box.open(TASK).answer(asked) for _ in range(10)))

    started = time.monotonic()
    assert asyncio.run(go()) == [Answer("done")] * 10
    assert time.monotonic() - started < 1.5


def test_an_asynchronous_tool_has_the_deadline_too():
    found = answer([later], "later", {"seconds": 9}, seconds=0.1)
    assert found == Answer("later: the call took longer than 0.1 s", fault=True)


def peek(place: int, task: Task) -> str:
    """Look at a letter of the answer."""
    return task.answer[place]


def spin() -> str:
    """Never return."""
    while True:
        pass


def test_a_loop_past_its_deadline_is_ended_so_that_it_takes_no_processor():
    before = set(threading.enumerate())
    assert answer([spin], "spin", {}, seconds=0.1).text == "spin: the call took longer than 0.1 s"
    (left,) = {thread for thread in threading.enumerate() if thread.name == "tool spin"} - before or {None}
    if left:
        left.join(10)
        assert not left.is_alive()


def test_a_tool_is_given_the_task_and_the_model_does_not_see_it():
    assert list(Tool.of(peek).spec.parameters["properties"]) == ["place"]
    assert answer([peek], "peek", {"place": 0}) == Answer("3")
    found = answer([peek], "peek", {"place": 0, "task": {}})
    assert found.text == "peek: there is no argument 'task'; there is place. It is called as peek(place: int)"


class Shop:
    """A basket for each episode."""

    closed = 0

    def __init__(self, task: Task) -> None:
        self.wanted, self.basket = task.data["question"], list[str]()

    def put(self, thing: str) -> int:
        """Put a thing into the basket."""
        self.basket.append(thing)
        return len(self.basket)

    def pay(self) -> Done:
        """Pay, which ends the episode."""
        return Done(float(self.basket == [self.wanted]))

    def close(self) -> None:
        Shop.closed += 1

    def _hidden(self) -> None: ...


def turn(*calls: ToolCall) -> Message:
    return Message.assistant("", tool_calls=calls)


def test_a_class_of_tools_has_one_object_an_episode():
    tasks = ToolTasks([Shop], [{"question": f"apple {i}"} for i in range(40)], name="shop", seed=0)
    task, other = tasks.task("train", 0), tasks.task("train", 1)
    assert [spec.name for spec in tasks.tools(task)] == ["put", "pay"]

    async def go() -> list[Step]:
        mine, theirs = tasks.env(task), tasks.env(other)
        assert await mine.reset(task) == [Message.user(task.data["question"])]
        await theirs.reset(other)
        steps = [await theirs.step(turn(call("put", thing="pear")))]
        steps.append(await mine.step(turn(call(Shop.put, thing=task.data["question"]))))
        steps += [await mine.step(turn(call("pay"))), await theirs.step(turn(call("pay")))]
        await mine.close()
        return steps

    before = Shop.closed
    first, second, paid, unpaid = asyncio.run(go())
    assert first.messages[0].content == second.messages[0].content == "1"
    assert (paid.reward, paid.done, unpaid.reward) == (1.0, True, 0.0)
    assert Shop.closed == before + 1


def test_calls_beyond_the_limit_are_not_answered_and_the_end_ends_the_message():
    put: list[str] = []

    def note(text: str) -> str:
        """Note a text."""
        put.append(text)
        return text

    def stop() -> Done:
        """End."""
        return Done(1.0)

    async def go(*names: str) -> Step:
        env = ToolTasks([note, stop], ROWS, calls=2).env(TASK)
        await env.reset(TASK)
        calls = [ToolCall(name, {"text": str(i)} if name == "note" else {}, id=str(i)) for i, name in enumerate(names)]
        return await env.step(turn(*calls))

    step = asyncio.run(go("note", "note", "stop", "note"))
    assert (step.reward, step.done, put, step.info["calls"]) == (0.0, True, ["0", "1"], 2.0)
    put.clear()
    step = asyncio.run(go("stop", "note"))
    assert (step.reward, step.done, put) == (1.0, True, [])
    assert not asyncio.run(go("note", "note")).done


class Base:
    """What is inherited is a tool too."""

    def double(self, x: int) -> int:
        """Twice."""
        return 2 * x


class Kit(Base):
    """One of each kind."""

    @staticmethod
    def plus(a: int, b: int) -> int:
        """Add."""
        return a + b

    @classmethod
    def name(cls) -> str:
        """Its name."""
        return cls.__name__


def test_static_inherited_and_class_methods_are_tools():
    assert [spec.name for spec in ToolBox([Kit]).specs] == ["double", "plus", "name"]
    assert answer([Kit], "plus", {"a": 1, "b": 2}) == Answer("3")
    assert answer([Kit], "double", {"x": 4}) == Answer("8")
    assert answer([Kit], "name", {}) == Answer("Kit")


def solve(row: Any, random: Random) -> Any:
    total = 0
    for number in row["numbers"]:
        total = int((yield call(add, a=total, b=number)))
    yield f"#{total}"


ROWS = [{"question": f"{a}+{b}=", "numbers": [a, b], "answer": f"#{a + b}"} for a in range(9) for b in range(9)]


def test_demonstrations_make_their_calls():
    tasks = ToolTasks([add], ROWS, name="sums", demonstrate=solve, system="Add.")
    task = tasks.task("train", 3)
    a, b = task.data["numbers"]
    messages = tasks.demonstrate(task, Random(0))
    assert [(m.role, m.content) for m in messages] == [
        (Role.SYSTEM, "Add."),
        (Role.USER, f"{a}+{b}="),
        (Role.ASSISTANT, ""),
        (Role.TOOL, str(a)),
        (Role.ASSISTANT, ""),
        (Role.TOOL, str(a + b)),
        (Role.ASSISTANT, f"#{a + b}"),
    ]
    assert messages[2].tool_calls[0].arguments == {"a": 0, "b": a}
    assert messages[3].tool_call_id == messages[2].tool_calls[0].id

    async def verdict(text: str) -> float | None:
        env = tasks.env(task)
        await env.reset(task)
        return (await env.step(Message.assistant(text))).reward

    assert [asyncio.run(verdict(text)) for text in (f" #{a + b}\n", "#x", "")] == [1.0, 0.0, 0.0]
    with pytest.raises(EnvError, match="sums has no demonstrations: pass `demonstrate`"):
        ToolTasks([add], ROWS, name="sums").demonstrate(task, Random(0))


def test_a_demonstration_that_makes_a_failing_call_is_refused():
    def broken(a: int, b: int) -> int:
        """Add."""
        raise KeyError("price")

    def show(row: Mapping[str, Any], rng: Random) -> Generator[ToolCall | str, str, None]:
        yield ToolCall("broken", {"a": 1, "b": 2})
        yield "3"

    tasks = ToolTasks([broken], ROWS, name="sums", demonstrate=show)
    with pytest.raises(EnvError, match=r"sums: the demonstration calls a tool that fails: broken: KeyError: 'price'"):
        tasks.demonstrate(tasks.task("train", 0), Random(0))


def test_a_demonstration_may_show_how_to_recover_from_a_wrong_call():
    def show(row: Mapping[str, Any], rng: Random) -> Generator[ToolCall | str, str, None]:
        said = yield ToolCall("add", {"b": 1})
        assert "'a' is missing" in said
        said = yield ToolCall("add", {"a": 1, "b": 2})
        yield said

    tasks = ToolTasks([add], ROWS, name="sums", demonstrate=show)
    assert tasks.demonstrate(tasks.task("train", 0), Random(0))[-1].content == "3"


def test_rows_are_split_by_their_content_and_come_once_an_epoch():
    tasks = ToolTasks([add], ROWS, seed=1)
    keys = [[tasks.task(split, i).key for i in range(81)] for split in ("train", "heldout")]
    assert len(set(keys[0])) + len(set(keys[1])) == 81
    assert set(keys[0]).isdisjoint(keys[1])
    assert len({tasks.task("train", i).key for i in range(len(set(keys[0])))}) == len(set(keys[0]))
    with pytest.raises(ConfigError, match="row 1 must have a text `question`; it has text"):
        ToolTasks([add], [ROWS[0], {"text": "x"}])
    with pytest.raises(ConfigError, match="none of its 1 rows is left for"):
        ToolTasks([add], ROWS[:1])


def untyped(a) -> int:  # type: ignore[no-untyped-def]
    """No type."""
    return 0


def spread(*numbers: int) -> int:
    """Any number of them."""
    return 0


def unwritable(a: Random) -> int:
    """No JSON."""
    return 0


class Tree(BaseModel):
    children: list["Tree"] = []


def recursive(tree: Tree) -> int:
    """A tree."""
    return 0


class Empty: ...


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        (
            [untyped],
            r"test_tools\.py:\d+: the tool 'untyped': the parameter 'a' has no type: write for example `a: str`",
        ),
        ([spread], "the parameter 'numbers' cannot be named in a call"),
        ([unwritable], "the parameter 'a' has the type Random, which a model cannot write"),
        ([recursive], "the type Tree holds itself"),
        ([add, add], "two tools are called 'add'"),
        ([Empty], "the class Empty has no public method"),
    ],
)
def test_functions_that_cannot_be_tools(tools: list[Any], message: str):
    with pytest.raises(ConfigError, match=message):
        ToolBox(tools)
