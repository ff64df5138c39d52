"""A typed function as a tool: its JSON schema, and the check of the arguments that a model gives.

def add(a: int, b: int = 1) -> int:
    '''Add two numbers.

    a: the first number
    b: the second number
    '''
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from espalier.core.errors import ConfigError, EspalierError, nearest
from espalier.core.messages import ToolSpec
from espalier.envs.api import Task

_SECTION = re.compile(r"(Args|Arguments|Parameters|Params):\s*$")
_OTHER_SECTION = re.compile(r"(Returns?|Raises|Yields?|Examples?|Notes?):\s*$")
_PARAMETER = re.compile(r"\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(\S.*)$")


class ToolFaultError(EspalierError):
    """A call that cannot be answered. The model is told the message."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call. `takes` is its call as people write it: `add(a: int, b: int = 1)`."""

    spec: ToolSpec
    function: Callable[..., Any]
    takes: str
    adapters: Mapping[str, TypeAdapter[Any]] = field(repr=False)
    required: frozenset[str]
    given: tuple[str, ...] = ()
    """Parameters of the type `Task`: they are given the episode's task, and the model does not see them."""

    @classmethod
    def of(cls, function: Callable[..., Any], *, method: bool = False) -> Tool:
        """The tool of a function; of one whose first parameter is the object where it is a `method`.

        Raises ConfigError, naming file and line, for a parameter without a type, or of a type that has no JSON schema.
        """
        where = f"{_place(function)}: the tool {function.__name__!r}"
        parameters = list(inspect.signature(function).parameters.values())[1 if method else 0 :]
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except Exception as error:
            raise ConfigError(f"{where}: its types cannot be read: {error}") from None
        given = tuple(parameter.name for parameter in parameters if hints.get(parameter.name) is Task)
        parameters = [parameter for parameter in parameters if parameter.name not in given]
        names = [parameter.name for parameter in parameters]
        summary, texts = read_docstring(inspect.getdoc(function) or "", names)
        adapters, properties = {}, {}
        for parameter in parameters:
            name = parameter.name
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ConfigError(f"{where}: the parameter {name!r} cannot be named in a call: make it a plain one")
            if name not in hints:
                raise ConfigError(f"{where}: the parameter {name!r} has no type: write for example `{name}: str`")
            adapters[name] = _adapter(hints[name], f"{where}: the parameter {name!r}")
            properties[name] = _property(adapters[name], parameter, texts.get(name, ""), where)
        required = [p.name for p in parameters if p.default is p.empty]
        schema = {"type": "object", "properties": properties, "required": required}
        takes = f"{function.__name__}({', '.join(str(_shown(p, hints)) for p in parameters)})"
        spec = ToolSpec(function.__name__, summary, schema)
        return cls(spec, function, takes, adapters, frozenset(required), given)

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, converted to the parameters' types. Raises ToolFaultError for wrong or missing ones."""
        for name in arguments:
            if name not in self.adapters:
                raise self._fault(f"there is no argument {name!r}{nearest(name, self.adapters)}")
        if missing := [name for name in self.adapters if name in self.required and name not in arguments]:
            raise self._fault(f"the argument {missing[0]!r} is missing")
        checked = {}
        for name, value in arguments.items():
            try:
                checked[name] = self.adapters[name].validate_python(value)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                inner = ".".join(map(str, (name, *first["loc"])))
                said = first["msg"][:1].lower() + first["msg"][1:]
                raise self._fault(f"the argument {inner!r} cannot be {first['input']!r:.80}: {said}") from None
        return checked

    def _fault(self, problem: str) -> ToolFaultError:
        return ToolFaultError(f"{self.spec.name}: {problem}. It is called as {self.takes}")


def read_docstring(text: str, names: list[str]) -> tuple[str, dict[str, str]]:
    """What a docstring says of the function, and of each parameter: Google's `Args:` section, or lines `name: text`.

    A line that is indented further than a parameter's goes on with its text. Sections about anything else are left out.
    """
    summary: list[str] = []
    found: dict[str, str] = {}
    current, depth, skipping = "", 0, False
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if _SECTION.match(line) or _OTHER_SECTION.match(line):
            current, skipping = "", bool(_OTHER_SECTION.match(line))
        elif skipping and (indent or not line.strip()):
            continue
        elif (match := _PARAMETER.match(line)) and match[1] in names and match[1] not in found:
            current, depth, skipping = match[1], indent, False
            found[current] = match[2].strip()
        elif current and line.strip() and indent > depth:
            found[current] += f" {line.strip()}"
        else:
            current, skipping = "", False
            summary.append(line.strip())
    return " ".join(" ".join(summary).split()), found


def _adapter(annotation: Any, where: str) -> TypeAdapter[Any]:
    try:
        if annotation is str:  # models write numbers where text is asked for
            return TypeAdapter(str, config=ConfigDict(coerce_numbers_to_str=True))
        return TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError):
        raise ConfigError(
            f"{where} has the type {_type_name(annotation)}, which a model cannot write: use str, int, float, bool, "
            "list, dict, Literal, Optional, a dataclass or a pydantic model"
        ) from None


def _property(adapter: TypeAdapter[Any], parameter: inspect.Parameter, text: str, where: str) -> dict[str, Any]:
    schema = adapter.json_schema()
    plain: dict[str, Any] = _plain(schema, schema.get("$defs", {}), (), where)
    if text:
        plain["description"] = text
    if parameter.default is not parameter.empty:
        plain["default"] = adapter.dump_python(parameter.default, mode="json")
    return plain


def _plain(schema: Any, definitions: Mapping[str, Any], inside: tuple[str, ...], where: str) -> Any:
    """A schema without titles and references; `X or null` is X, nullable."""
    if isinstance(schema, list):
        return [_plain(item, definitions, inside, where) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if name in inside:
            raise ConfigError(f"{where}: the type {name} holds itself, which a schema for models cannot say")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return {**_plain(definitions[name], definitions, (*inside, name), where), **beside}
    options = schema.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options and len(options) == 2:
        (other,) = (option for option in options if option != {"type": "null"})
        beside = {key: value for key, value in schema.items() if key not in ("anyOf", "title", "$defs")}
        return {**_plain(other, definitions, inside, where), **beside, "nullable": True}
    out = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: _plain(inner, definitions, inside, where) for name, inner in value.items()}
        elif key not in ("title", "$defs"):
            out[key] = value if key in ("default", "enum", "const") else _plain(value, definitions, inside, where)
    return out


def _shown(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> str:
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.name}: {_type_name(hints[parameter.name])}{default}"


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _place(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else getattr(function, "__module__", "?")
