"""Any request beside others: those say what they say when they are alone, and nothing is answered with 500."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_models import NAME, service

from espalier.core.io import strict_json
from espalier.engine.server.app import build_app
from espalier.engine.server.messages import ChatMessage
from espalier.engine.server.requests import ChatRequest, CompletionRequest

ENDS = [0, 1, -1, 2**31, -(2**31), 2**63 - 1, 2**63, -(2**63), 10**30, 10**400]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [5e-324, 1e-45, 1e-40, sys.float_info.max, sys.float_info.min, 1.0, 0.0, -0.0, 1 - 2**-53, 1 + 2**-52]
)
COUNTS = st.sampled_from(ENDS) | st.integers(1, 5)
TEXTS = st.text(max_size=12) | st.sampled_from(["hi", "\ud800", "</think>", "<|user|>", "x" * 3000])
JUNK = st.recursive(
    st.none() | st.booleans() | st.sampled_from(ENDS) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
CALL = st.fixed_dictionaries({"function": st.fixed_dictionaries({"name": TEXTS, "arguments": TEXTS | st.just("{}")})})
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "user", "system", "developer", "assistant", "tool"]), "content": TEXTS},
    optional={
        "tool_calls": st.lists(CALL, max_size=2),
        **dict.fromkeys(set(ChatMessage.model_fields) - {"role", "content", "tool_calls"}, JUNK),
    },
)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {}}}}}
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "model": st.just(NAME),
    "max_tokens": st.integers(1, 12) | COUNTS,
    "max_completion_tokens": st.integers(1, 12) | COUNTS,
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "min_p": NUMBERS,
    "top_k": COUNTS,
    "n": COUNTS,
    "seed": COUNTS,
    "stop": TEXTS | st.lists(TEXTS, max_size=3),
    "stream": st.booleans(),
    "stream_options": st.fixed_dictionaries({}, optional={"include_usage": st.booleans()}),
    "top_logprobs": COUNTS,
    "best_of": COUNTS,
    "messages": st.lists(MESSAGE, min_size=1, max_size=3),
    "prompt": TEXTS | st.lists(st.integers(-1, 400), max_size=8) | st.lists(TEXTS, max_size=3),
    "tools": st.lists(st.just(TOOL), max_size=2),
    "tool_choice": st.sampled_from(["none", "auto", "required"]),
    "logprobs": st.booleans() | COUNTS,
}
"""Values that are often valid. Any field may also hold junk, and those that are not listed hold nothing else."""


def bodies(kind: type[ChatRequest] | type[CompletionRequest]) -> st.SearchStrategy[dict[str, Any]]:
    """Requests with any of all the fields that the server knows."""
    needed = {"model": LIKELY["model"], "max_tokens": st.just(5)}
    needed |= {"messages": LIKELY["messages"]} if kind is ChatRequest else {"prompt": LIKELY["prompt"]}
    values = {name: LIKELY[name] | JUNK if name in LIKELY else JUNK for name in kind.model_fields}
    few = st.lists(st.sampled_from(sorted(values)), max_size=4, unique=True)
    some = few.flatmap(lambda names: st.fixed_dictionaries({name: values[name] for name in names}))
    return st.builds(lambda given, extra: given | extra, st.fixed_dictionaries(needed), some)


REQUESTS = st.one_of(
    bodies(ChatRequest).map(lambda body: ("/v1/chat/completions", body)),
    bodies(CompletionRequest).map(lambda body: ("/v1/completions", body)),
)
NEIGHBOURS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"prompt": "hello", "logprobs": 2, "seed": 1}),
    ("/v1/completions", {"prompt": "hello", "logprobs": 0, "seed": 2, "top_p": 0.9, "stream": True}),
    (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "hi"}], "seed": 3, "top_k": 9, "logprobs": True},
    ),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "stream": True}),
]


async def tell(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[Any]:
    """The choices of an answer, whole or in pieces, without what differs from call to call."""
    answer = await client.post(path, json={"model": NAME, "max_tokens": 24, **body})
    assert answer.status_code == 200, answer.text
    texts = [part for part in answer.text.replace("data: ", "").split("\n") if part and part != "[DONE]"]
    return [json.loads(text, parse_float=lambda text: round(float(text), 3))["choices"] for text in texts]


def judge(answer: httpx.Response) -> None:
    """Every answer is one that a client can read, and none says that the server failed."""
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        error = strict_json.loads(answer.content)["error"]
        assert error["message"]
        assert set(error) == {"message", "type", "param", "code"}
    elif answer.headers["content-type"].startswith("text/event-stream"):
        *events, last = [event.removeprefix("data: ") for event in answer.text.split("\n\n") if event]
        assert last == "[DONE]"
        assert all("error" not in strict_json.loads(event) for event in events)
    else:
        assert strict_json.loads(answer.content)["choices"]


SERVICE = service()
ALONE: list[list[Any]] = []


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(REQUESTS)
def test_no_request_disturbs_its_neighbours(request: tuple[str, dict[str, Any]]) -> None:
    path, body = request

    async def main() -> None:
        transport = httpx.ASGITransport(app=build_app(SERVICE))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            if not ALONE:
                ALONE.extend([await tell(client, *neighbour) for neighbour in NEIGHBOURS])
            beside = [tell(client, *neighbour) for neighbour in NEIGHBOURS]
            answer, *found = await asyncio.gather(client.post(path, content=json.dumps(body).encode()), *beside)
        judge(answer)
        assert found == ALONE

    asyncio.run(main())
    assert not SERVICE.gate.tickets
    assert not SERVICE.engine._stepper.running
