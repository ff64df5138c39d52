"""Random requests for an OpenAI-compatible server: valid ones, ones at the ends of every field's type, broken ones."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Draw = Callable[[random.Random], Any]

INTEGERS = (0, 1, -1, 2, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400)
NUMBERS = (0.0, -0.0, 5e-324, 1e-45, 1e-40, 1e-12, 0.5, 1.0, 1.0 - 2**-53, 2.0, 10.0, 1e38, 1.7e308, -1e-320, -1.0)
TEXTS = (
    *("", " ", "hi", "12+34=", "é 👍🏽 中", "\x00", "\u202e", "\ufffd", "<think>", "</think>", "<|user|>", "[gMASK]"),
    *("<tool_call>f</tool_call>", "[1]", "{}", "a" * 5_000, "\n" * 500, "\ufdd0", "e\u0301" * 50),
)
JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    0.5,
    1e400,
    "x",
    "",
    [],
    {},
    [[]],
    {"a": 1},
    [None],
    "\ud800",
    float("nan"),
)
"""Values of any type, of which some cannot be JSON."""

TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"x": {}}}},
}
ARGUMENTS = (
    *(
        "{}",
        "",
        '{"x": 1}',
        '{"x": "\\ud800"}',
        '{"x": NaN}',
        '{"x": 1e999}',
        "[1]",
        "null",
        "{",
        '{"x": ' + "9" * 5_000 + "}",
    ),
    *('{"x": ' + "[" * 50 + "]" * 50 + "}", '{"x": ' + "[" * 5_000 + "]" * 5_000 + "}"),
)


def _one(*values: Any) -> Draw:
    return lambda random: random.choice(values)


def _text(random: random.Random) -> str:
    return random.choice(TEXTS) * random.choice((1, 1, 1, 3))


def _content(random: random.Random) -> Any:
    parts = [{"type": "text", "text": _text(random)} for _ in range(random.randrange(3))]
    return random.choice(
        [_text(random), _text(random), parts, None, [{"type": "image_url", "image_url": {"url": "x"}}]]
    )


def _message(random: random.Random) -> dict[str, Any]:
    role = random.choice(("user", "user", "user", "system", "developer", "assistant", "assistant", "tool", "robot"))
    message: dict[str, Any] = {"role": role, "content": _content(random)}
    if role == "assistant":
        message |= {"refusal": None, "audio": None, "annotations": random.choice([None, []]), "function_call": None}
        if random.random() < 0.5:
            function = {"name": "f", "arguments": random.choice(ARGUMENTS)}
            message["tool_calls"] = [{"index": 0, "id": "c", "type": "function", "function": function}]
    if role == "tool":
        message["tool_call_id"] = random.choice(("c", "", "unknown"))
    return message


def _prompt(random: random.Random) -> Any:
    ids = [random.choice((0, 1, 5, 60, 300, 399, 400, -1, 2**40, 2**70)) for _ in range(random.randrange(6))]
    few = [random.randrange(300) for _ in range(20)]
    return random.choice(
        (_text(random), _text(random), few, few, ids, [few, ids], ["a", "b", _text(random)], [], [1, "a"])
    )


COMMON: dict[str, Draw] = {
    "model": _one("fuzz", "fuzz", "fuzz", "fuzz", "fuzz", "fuzz", "fuzz", "other", ""),
    "max_tokens": _one(1, 2, 7, 7, 20, 20, *INTEGERS),
    "temperature": _one(*NUMBERS),
    "top_p": _one(*NUMBERS),
    "top_k": _one(3, 50, *INTEGERS),
    "min_p": _one(*NUMBERS),
    "n": _one(1, 2, 5, 128, 129, *INTEGERS[:8]),
    "seed": _one(*INTEGERS),
    "stop": lambda random: random.choice(
        (_text(random), [_text(random), "e"], ["a" * 10_000], ["x"] * 64, ["x"] * 65, [])
    ),
    "stream": _one(True, False, None),
    "stream_options": _one(None, {}, {"include_usage": True}, {"include_usage": None}, {"other": 1}),
    "frequency_penalty": _one(0, 0.0, None, 0.5, -2),
    "presence_penalty": _one(0, 0.0, None, 0.5, -2),
    "logit_bias": _one(None, {}, {"5": 0}, {"5": 100}),
    "user": _text,
}
CHAT: dict[str, Draw] = COMMON | {
    "max_completion_tokens": _one(1, 3, 9, *INTEGERS),
    "logprobs": _one(True, False, None),
    "top_logprobs": _one(0, 1, 20, 21, None, *INTEGERS[:6]),
    "tools": _one([], [TOOL], [TOOL, TOOL], [{"type": "custom", "custom": {"name": "x"}}]),
    "tool_choice": _one("none", "auto", "required", {"type": "function", "function": {"name": "f"}}),
    "parallel_tool_calls": _one(True, False, None),
    "response_format": _one(
        None, {"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "json_schema": {}}
    ),
    "metadata": _one(None, {}, {"a": "b"}),
    "store": _one(None, True, False),
    "service_tier": _one(None, "auto", "flex"),
    "reasoning_effort": _one(None, "high"),
    "functions": _one(None, [], [{"name": "f"}]),
    "function_call": _one(None, "none", "auto", {"name": "f"}),
    "modalities": _one(None, ["text"], ["text", "audio"]),
    "prediction": _one(None, {"type": "content", "content": "x"}),
    "prompt_cache_key": _text,
    "unknown": _one(None, 1),
}
COMPLETION: dict[str, Draw] = COMMON | {
    "logprobs": _one(None, 0, 1, 20, 21, True, False, -1),
    "echo": _one(None, False, True),
    "best_of": _one(None, 1, 2, 0),
    "suffix": _one(None, "", "x"),
}


def request(random: random.Random) -> tuple[str, bytes]:
    """A path and a body. About a third is valid; each body has a few fields of its endpoint, drawn at random."""
    path, fields = random.choice((("/v1/chat/completions", CHAT), ("/v1/completions", COMPLETION)))
    body: dict[str, Any] = {"model": "fuzz", "max_tokens": random.choice((3, 9, 20))}
    if fields is CHAT:
        body["messages"] = [_message(random) for _ in range(random.choice((1, 1, 1, 2, 4)))]
    else:
        body["prompt"] = _prompt(random)
    for name in random.sample(sorted(fields), random.choice((0, 1, 1, 2, 2, 3, 5))):
        body[name] = fields[name](random)
    if random.random() < 0.1:
        body[random.choice(sorted(body))] = random.choice(JUNK)
    if random.random() < 0.03:
        del body[random.choice(sorted(body))]
    raw = json.dumps(body).encode()
    match random.randrange(60):
        case 0:
            raw = raw[: random.randrange(len(raw))]
        case 1:
            place = random.randrange(len(raw))
            raw = raw[:place] + bytes([random.randrange(256)]) + raw[place + 1 :]
        case 2:
            raw = random.choice((b"", b"null", b"[]", b"[" * 50_000, b'{"a":' * 50_000, b"\xff\xfe{}", b" " * 2**20))
    return path, raw
