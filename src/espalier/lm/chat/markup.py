"""Parts of an assistant turn: thinking block and tool calls, written in GLM's format, parsed in GLM's and Qwen's.

Text here is markup: control tokens by name, ordinary text escaped (`Tokenizer.escape`, `decode_markup`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from espalier.core.io import strict_json
from espalier.core.messages import Message, ToolCall, ToolSpec
from espalier.lm.tokens import Tokenizer, unescape

_CALL = re.compile(r"\s*<tool_call>(.*?)</tool_call>", re.DOTALL)
_ARGUMENT = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)


def describe(tool: ToolSpec) -> dict[str, Any]:
    """A tool as OpenAI's API and chat templates describe it."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def write_call(call: ToolCall, tokenizer: Tokenizer) -> str:
    """One call in GLM's format: strings as they are, other values as JSON."""
    lines = [f"<tool_call>{tokenizer.escape(call.name)}"]
    for key, value in call.arguments.items():
        lines.append(f"<arg_key>{tokenizer.escape(key)}</arg_key>")
        lines.append(f"<arg_value>{tokenizer.escape(write_value(value))}</arg_value>")
    return "\n".join([*lines, "</tool_call>"])


def write_value(value: Any) -> str:
    """An argument's text: strings as they are, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_value(text: str, schema: Mapping[str, Any]) -> Any:
    """The argument in `text`: parsed as JSON, unless the schema says string or it is not JSON."""
    if schema.get("type") == "string":
        return text
    value = _json(text)
    raw = isinstance(value, str) or (value is None and text.strip() != "null")
    return text if raw else value


def properties(tool: ToolSpec | None) -> Mapping[str, Any]:
    """The schema of each argument of a tool; none for an unknown tool."""
    found = tool.parameters.get("properties", {}) if tool else {}
    return found if isinstance(found, dict) else {}


def read_turn(text: str, tools: Sequence[ToolSpec]) -> Message:
    """The message in one assistant turn of markup. Text that is neither thinking nor a complete call is content. Text
    before `</think>` is thinking even without `<think>`, which some templates put into the prompt.
    """
    head, closed, rest = text.partition("</think>")
    before, opened, inside = head.partition("<think>")
    if opened or not closed:
        reasoning, content = inside, before + rest
    else:
        reasoning, content = head, rest
    calls = [(match, _read_call(match[1], tools)) for match in _CALL.finditer(content)]
    for match, call in reversed(calls):
        if call is not None:
            content = content[: match.start()] + content[match.end() :]
    return Message.assistant(
        unescape(content.strip()), unescape(reasoning.strip()), tuple(call for _, call in calls if call is not None)
    )


def _read_call(body: str, tools: Sequence[ToolSpec]) -> ToolCall | None:
    """A call in GLM's format, or in the JSON format of Hermes and Qwen."""
    if body.lstrip().startswith("{"):
        data = _json(unescape(body))
        if not isinstance(data, dict) or not isinstance(data.get("name"), str):
            return None
        arguments = data.get("arguments", {})
        arguments = _json(arguments) if isinstance(arguments, str) else arguments
        return ToolCall(data["name"], arguments) if isinstance(arguments, dict) else None
    name = unescape(body.partition("<arg_key>")[0].strip())
    schemas = properties(next((tool for tool in tools if tool.name == name), None))
    pairs = [(unescape(key), unescape(value)) for key, value in _ARGUMENT.findall(body)]
    arguments = {key: read_value(value, _mapping(schemas.get(key))) for key, value in pairs}
    return ToolCall(name, arguments) if name else None


def _mapping(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, dict) else {}


def _json(text: str) -> Any:
    """The value of a JSON text, None where it is not JSON that can be written again."""
    try:
        return strict_json.loads(text)
    except ValueError:
        return None
