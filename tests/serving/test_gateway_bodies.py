"""Bodies, paths and headers that clients should not send: passed on unchanged, or named as what they are."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import Stage, on_stage, until

from espalier.core.errors import DataError
from espalier.serving.config import PrefixConfig, SchedulerConfig
from espalier.serving.gateway.app import Gateway
from espalier.serving.gateway.client import read_body
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.events import report_of
from espalier.serving.gateway.tokens import TokenEstimate, prefix_blocks


async def post(stage: Stage, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    async with stage.session.post(f"{stage.url}/v1/completions", data=body, headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
@pytest.mark.parametrize(
    "body",
    [
        rb'{"user": "\ud83d", "prompt": "x"}',
        rb'{"prompt": "cut emoji \ud83d"}',
        rb'{"messages": [{"role": "user", "content": "\udc00\ud800"}]}',
        b'{"prompt": "x", "temperature": NaN, "top_p": -Infinity}',
        b'{"prompt": "x", "top_k": %s, "seed": 1e999}' % (b"9" * 4000),
        b'{"prompt": "x", "extra": ' + b"[" * 300 + b"1" + b"]" * 300 + b"}",
        b'{"prompt": [[1, 2, [3, ["x"]]], NaN, null, {"a": 1}]}',
        b'{"prompt": "x", "prompt": "the last one counts"}',
        b' \n{ "messages" : [ {"content":null}, 7, "text"], "tools":{}} \n',
        b'{"stream": "yes", "prompt": null, "model": 3}',
        b"{}",
        '{"prompt": "€ 😀", "n": 1.0}'.encode(),
    ],
)
def test_what_only_an_engine_can_judge_reaches_it_unchanged(kind: str, body: bytes) -> None:
    async def play(stage: Stage) -> None:
        seen: list[bytes] = []

        async def look(request: web.Request) -> web.Response:
            seen.append(await request.read())
            return web.json_response({})

        await stage.front(await stage.engine(look), kind=kind)
        assert await post(stage, body) == (200, {})
        (got,) = seen
        if kind == "vllm":
            assert got == body
        else:
            assert got.startswith(body.rstrip()[:-1].rstrip())
            assert got.endswith(b'"routed_dp_rank": 0}')
            assert list(json.loads(got)) == [*json.loads(body), "routed_dp_rank"]

    on_stage(play)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b'{"prompt": "x"', "the body is not JSON: Expecting ',' delimiter"),
        (b'{"prompt": "x"} {}', "the body is not JSON: Extra data"),
        (b'{"prompt": "\x00"}', "the body is not JSON: Invalid control character"),
        (b'{"prompt": "\xff"}', "the body is not UTF-8: byte 0xff at 12"),
        ('{"prompt": "x"}'.encode("utf-16"), "the body is not UTF-8: byte 0x"),
        (b"[1]", "the body is not a JSON object: it is a list"),
        (b"7", "the body is not a JSON object: it is a number"),
        (b"null", "the body is not a JSON object: it is null"),
        (b'{"top_k": ' + b"1" * 5000 + b"}", "the body has a number of more than 4,300 digits"),
        (b'{"prompt":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "the body is nested too deeply"),
        (b'{"priority": "high"}', "priority must be an integer, not text"),
        (b'{"priority": true}', "priority must be an integer, not a truth value"),
    ],
)
def test_what_is_no_request_is_named(body: bytes, message: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.front(await stage.engine())
        status, said = await post(stage, body)
        assert status == 400
        assert said["error"].pop("message").startswith(message)
        assert said == {"error": {"type": "invalid_request_error", "param": None, "code": None}}

    on_stage(play)


@pytest.mark.parametrize("value", ["abc", "-1", "0", "nan", "", "1 s"])
def test_a_deadline_that_is_none_is_named_as_what_it_is(value: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.front(await stage.engine())
        status, said = await post(stage, b'{"prompt": "x"}', X_Espalier_Deadline=value)
        expected = f"the header X-Espalier-Deadline must be a number of seconds above 0, not {value!r}"
        assert (status, said["error"]["message"]) == (400, expected)

    on_stage(play)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/embeddings", 404, "not_found"),
        ("POST", "/", 404, "not_found"),
        ("GET", "/admin/state", 404, "not_found"),
        ("POST", "/admin/drain/0", 404, "not_found"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
    ],
)
def test_wrong_ways_are_refused_as_openai_does(method: str, path: str, status: int, code: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.front(await stage.engine())
        async with stage.session.request(method, stage.url + path) as answer:
            assert answer.status == status
            error = (await answer.json())["error"]
            assert error["code"] == code
            assert error.keys() == {"message", "type", "param", "code"}
            assert status != 405 or answer.headers["Allow"]

    on_stage(play)


def test_a_body_that_is_too_large_or_packed_wrongly() -> None:
    async def play(stage: Stage) -> None:
        gateway = await stage.front(await stage.engine(), body_bytes=1000)
        large = json.dumps({"prompt": "x" * 5000}).encode()
        for body, headers in ((large, {}), (gzip.compress(large), {"Content_Encoding": "gzip"})):
            status, said = await post(stage, body, **headers)
            assert (status, said["error"]["code"]) == (413, "body_too_large")
            assert "more than the 1000 bytes" in said["error"]["message"]
        status, said = await post(stage, b"this is not packed", Content_Encoding="gzip")
        assert status == 400
        assert said["error"]["message"].startswith("the body cannot be read: ")
        assert 'espalier_requests_total{outcome="bad"} 3.0' in gateway.measures.page().decode()

    on_stage(play)


def test_a_fault_of_the_gateway_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(stage: Stage) -> None:
        gateway = await stage.front(await stage.engine())

        def fail(*_: object, **__: object) -> None:
            raise KeyError("secret")

        monkeypatch.setattr(gateway.dispatcher, "submit", fail)
        status, said = await post(stage, b'{"prompt": "x"}')
        assert (status, said["error"]["message"]) == (500, "the gateway failed; its log says how")

    on_stage(play)


def test_the_admin_application_is_not_the_clients() -> None:
    gateway = Gateway(GatewayConfig.of(targets=[{"urls": ["http://a"]}]))
    paths = {route.resource.canonical for route in gateway.app.router.routes() if route.resource is not None}
    assert not [path for path in paths if path.startswith("/admin")]
    assert GatewayConfig.model_fields["admin_port"].default is None
    assert GatewayConfig.model_fields["admin_host"].default == "127.0.0.1"


@pytest.mark.parametrize("depth", [200, 900])
def test_deep_and_wide_bodies_take_time_in_proportion(depth: int) -> None:
    """Sixty thousand texts below hundreds of lists: as quick as on the top."""
    texts = ", ".join(['"w"'] * 60_000)
    body = f'{{"prompt": {"[" * depth}{texts}{"]" * depth}}}'.encode()
    loop = asyncio.new_event_loop()
    begun = loop.time()
    said = read_body(body)
    assert TokenEstimate(1.0).of(said).tokens == 60_000
    assert loop.time() - begun < 1.0
    loop.close()


@pytest.mark.parametrize("part", ["[1]", "{}", '""'])
def test_millions_of_parts_are_refused_at_once(part: str) -> None:
    body = f'{{"prompt": [{",".join([part] * 1_500_000)}]}}'.encode()
    begun = time.process_time()
    with pytest.raises(DataError, match="the body has more than 65,536 texts, keys, lists and objects"):
        read_body(body)
    assert time.process_time() - begun < 0.5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["prompt", "messages", "tools", "user", "n"]), json_values), st.integers(1, 9))
def test_any_json_is_measured_without_an_error(said: dict[str, Any], size: int) -> None:
    assert read_body(json.dumps(said).encode()).keys() == said.keys()
    assert TokenEstimate(3.6).of(said).tokens >= 1
    prefix_blocks(said, size)


def test_a_symbol_that_the_tokenizer_lacks_is_counted_by_bytes(tmp_path: Path) -> None:
    content = {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-16")
    estimate = TokenEstimate(2.0, tokenizer=tmp_path / "tokenizer.json")
    assert estimate.of({"prompt": ["a", "abcdefgh"]}).tokens == 1 + 4


@pytest.mark.parametrize("said", ["[" * 100_000, '{"backlog": [NaN]}'])
def test_a_report_that_is_no_json_is_a_value_error(said: str) -> None:
    with pytest.raises(ValueError, match=r"deep|NaN"):
        report_of(f"data: {said}".encode(), 1)


def test_prefixes_of_surrogates_are_counted() -> None:
    async def play(stage: Stage) -> None:
        await stage.front(await stage.engine())
        config = stage.gateway.config
        scheduler = SchedulerConfig(policy="sbs", prefix=PrefixConfig(block=2))
        stage.gateway.config = config.model_copy(update={"scheduler": scheduler})
        assert (await post(stage, rb'{"model": "fake", "prompt": "\ud83d and on", "max_tokens": 1}'))[0] == 200
        await until(lambda: not stage.gateway.dispatcher.tickets)

    on_stage(play)
