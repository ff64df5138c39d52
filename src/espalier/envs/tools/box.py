"""The tools of an environment: functions, or a class whose methods are tools, one object for each episode."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Protocol

from pydantic_core import PydanticSerializationError, to_json

from espalier.core.errors import ConfigError, EnvError, nearest
from espalier.core.messages import ToolCall, ToolSpec
from espalier.core.plugins import culprit
from espalier.envs.api import Task
from espalier.envs.tools.function import Tool, ToolFaultError

SECONDS = 10.0
"""Longest call of a tool."""
LONGEST = 4000
"""Characters of a result that the model is shown."""
MOST_HANGING = 16
"""Calls past their deadline that may still run in a process: nothing ends a thread that waits in C."""


Outcome = tuple[Any, BaseException | None]
"""What a function returned, or what it raised."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a tool returns to end the episode. `reward` is None where a rubric or the judge of the answer decides."""

    reward: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call: the tool message, whether it names a fault, whether the function raised an exception, and
    the end of the episode where it is one.
    """

    text: str
    fault: bool = False
    raised: bool = False
    done: Done | None = None


class _RaisedError(ToolFaultError):
    """The function itself raised an exception."""


class Session(Protocol):
    """The tools in one episode."""

    async def answer(self, call: ToolCall) -> Answer:
        """Answer one call. Raises EnvError where a tool raised one: the attempt then counts as failed."""
        ...

    async def close(self) -> None:
        """Free what the tools held."""
        ...


class Tools(Protocol):
    """A set of tools: `ToolBox`, or one in another process."""

    @property
    def specs(self) -> Sequence[ToolSpec]:
        """What the model is offered."""
        ...

    def open(self, task: Task) -> Session:
        """The tools for one episode of `task`."""
        ...


class ToolBox:
    """Functions as tools. A parameter of the type `Task` is given the episode's task, and the model does not see it. Of
    a class, the public methods are tools (`close` excepted, which is called at the end); each episode has an object of
    its own, made with the task where the class takes one.

    Synchronous functions run in a thread, asynchronous ones on the event loop, both for `seconds` at most. `longest`:
    characters of a result that the model is shown. `explain` off: a fault is the word `error` and no more, for tiny
    models. Raises ConfigError for a function that cannot be a tool, and for two tools of one name.
    """

    def __init__(
        self,
        tools: Sequence[Callable[..., Any]],
        *,
        seconds: float = SECONDS,
        longest: int = LONGEST,
        explain: bool = True,
    ) -> None:
        self._tools: dict[str, tuple[Tool, type | None]] = {}
        self._classes = [tool for tool in tools if isinstance(tool, type)]
        self._seconds = seconds
        self._longest = longest
        self._explain = explain
        self._hanging: list[threading.Thread] = []
        for tool in tools:
            for function, owner, method in _functions(tool):
                made = Tool.of(function, method=method)
                if made.spec.name in self._tools:
                    raise ConfigError(f"two tools are called {made.spec.name!r}: rename one of them")
                self._tools[made.spec.name] = made, owner
        self.specs: tuple[ToolSpec, ...] = tuple(tool.spec for tool, _ in self._tools.values())

    def open(self, task: Task) -> BoxSession:
        """See `Tools`."""
        return BoxSession(self, task, {owner: _made(owner, task) for owner in self._classes})

    async def run(self, call: ToolCall, task: Task, objects: dict[type, Any]) -> Answer:
        """Answer `call` in an episode of `task`, with its `objects` of the classes."""
        try:
            return self._shown(await self._result(call, task, objects))
        except ToolFaultError as fault:
            raised = isinstance(fault, _RaisedError)
            return Answer(str(fault) if self._explain else "error", fault=True, raised=raised)

    async def _result(self, call: ToolCall, task: Task, objects: dict[type, Any]) -> Any:
        if call.name not in self._tools:
            raise ToolFaultError(f"there is no tool {call.name!r}{nearest(call.name, self._tools)}")
        tool, owner = self._tools[call.name]
        arguments = tool.check(call.arguments) | dict.fromkeys(tool.given, task)
        function = tool.function if owner is None else getattr(objects[owner], call.name)
        run = _awaited if inspect.iscoroutinefunction(function) else self._in_thread
        try:
            async with asyncio.timeout(self._seconds):
                value, error = await run(function, arguments)
        except TimeoutError:
            raise ToolFaultError(f"{call.name}: the call took longer than {self._seconds:g} s") from None
        if isinstance(error, EnvError):
            raise error
        if error is not None:
            kind = ToolFaultError if isinstance(error, ToolFaultError) else _RaisedError
            raise kind(f"{call.name}: {type(error).__name__}: {error}")
        return value

    async def _in_thread(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Outcome:
        self._hanging = [thread for thread in self._hanging if thread.is_alive()]
        if len(self._hanging) >= MOST_HANGING:
            raise EnvError(f"{MOST_HANGING} calls of tools that passed their deadline still run: do they ever end?")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        running, lock = [True], threading.Lock()

        def work() -> None:
            outcome: Outcome
            try:
                outcome = function(**arguments), None
            except BaseException as error:  # SystemExit in a tool is the tool's failure
                outcome = None, error
            with lock:
                running.clear()
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_settle, future, outcome)

        thread = threading.Thread(target=work, daemon=True, name=f"tool {function.__name__}")
        thread.start()
        try:
            return await future
        except asyncio.CancelledError:
            self._hanging.append(thread)
            with lock:
                if running:  # else the thread's number may be another's
                    _interrupt(thread)
            raise

    def _shown(self, value: Any) -> Answer:
        if isinstance(value, Done):
            return Answer("", done=value)
        text = _text(value)
        if len(text) <= self._longest:
            return Answer(text)
        cut = f"{text[: self._longest]}\n[cut: these are the first {self._longest} of {len(text)} characters]"
        return Answer(cut if self._explain else text[: self._longest], fault=True)


class BoxSession:
    """See `Session`."""

    def __init__(self, box: ToolBox, task: Task, objects: dict[type, Any]) -> None:
        self._box = box
        self._task = task
        self._objects = objects

    async def answer(self, call: ToolCall) -> Answer:
        """See `Session`."""
        return await self._box.run(call, self._task, self._objects)

    async def close(self) -> None:
        """See `Session`."""
        for held in self._objects.values():
            if callable(close := getattr(held, "close", None)) and inspect.isawaitable(ended := close()):
                await ended
        self._objects = {}


def _functions(tool: Callable[..., Any]) -> list[tuple[Callable[..., Any], type | None, bool]]:
    """The functions of a tool: each with the class that it is of, and whether its first parameter is the object."""
    if not isinstance(tool, type):
        return [(tool, None, False)]
    names = dict.fromkeys(name for base in reversed(tool.__mro__) for name in vars(base))
    found = [(name, inspect.getattr_static(tool, name)) for name in names if name[:1] != "_" and name != "close"]
    kinds = (FunctionType, staticmethod, classmethod)
    methods = [(name, isinstance(value, FunctionType)) for name, value in found if isinstance(value, kinds)]
    if not methods:
        raise ConfigError(f"the class {tool.__name__} has no public method, so that it brings no tool")
    return [(getattr(tool, name), tool, method) for name, method in methods]


def _made(owner: type, task: Task) -> Any:
    takes_task = bool(inspect.signature(owner).parameters)
    try:
        return owner(task) if takes_task else owner()
    except Exception as error:
        place = culprit(error)
        where = f" ({place})" if place else ""
        raise EnvError(f"{owner.__name__} raised {type(error).__name__}: {error}{where}") from error


async def _awaited(function: Callable[..., Any], arguments: dict[str, Any]) -> Outcome:
    try:
        return await function(**arguments), None
    except Exception as error:
        return None, error


def _interrupt(thread: threading.Thread) -> None:
    """Raise SystemExit in it: a loop in Python ends at once, a call into C when it returns to Python."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


def _settle(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)


def _text(value: Any) -> str:
    """Text as it is, everything else as JSON."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    try:
        return to_json(value, fallback=str, inf_nan_mode="constants").decode()
    except PydanticSerializationError:
        return str(value)
