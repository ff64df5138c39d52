"""SGLang's server: token ids in and out, pauses, and weights from disk or as adapters.

Written from the source of SGLang 0.5.23. It has not been run against a real server.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from espalier.core.errors import EngineError
from espalier.core.net.http import HttpClient, RefusedError, UnreachableError
from espalier.engine.api import Capabilities, Completion, EngineStats, Sampling, UpdateKind
from espalier.engine.http.adapters import base_model, is_adapter, load_adapter
from espalier.engine.http.answers import FINISHES, sampled, versions
from espalier.engine.http.dialect import Call
from espalier.engine.updates import AdapterUpdate, FileUpdate, WeightUpdate

GENERATE = "/generate"
MODES = {"abort": "abort", "keep": "in_place"}
ABORT_SECONDS = 5.0


class SglangDialect:
    """Implements `Dialect`."""

    def __init__(self, *, updates: frozenset[UpdateKind]) -> None:
        self._updates = updates

    @property
    def capabilities(self) -> Capabilities:
        """See `Dialect`. Newer servers tell the version of each token, all of them that of each request."""
        return Capabilities(updates=self._updates, versions="request", seeded=False)

    async def describe(self, client: HttpClient, *, seconds: float) -> tuple[str, int]:
        """See `Dialect`."""
        return await base_model(client, seconds=seconds)

    async def generate(self, call: Call, prompt: Sequence[int], sampling: Sampling, request: str) -> Completion:
        """See `Dialect`. The log-probs are tempered and not truncated: `raw_logprobs` are NaN at other temperatures
        than 0 and 1, and `logprobs` also where the softmax was truncated.
        """
        rid = f"{call.run}-{request}."  # an abort takes every request whose name begins with the name that it is given
        body = self._body(call, prompt, _parameters(sampling)) | {"rid": rid}
        try:
            answer = await call.client.post(GENERATE, body, seconds=call.seconds)
        except asyncio.CancelledError:  # the server looks only now and then whether a connection is closed
            with suppress(RefusedError, UnreachableError):
                await call.client.tell("/abort_request", {"rid": rid}, seconds=ABORT_SECONDS)
            raise
        about = answer["meta_info"]
        given = about.get("output_token_logprobs") or []  # none where it was aborted before its prefill
        if len(given) != int(about["completion_tokens"]):
            raise EngineError(f"the server answered {about['completion_tokens']} tokens and {len(given)} log-probs")
        tokens, found = [int(token) for _, token, *_ in given], [float(logprob) for logprob, *_ in given]
        raw = found if sampling.temperature in (0.0, 1.0) else [math.nan] * len(found)
        tagged = versions(call, about.get("weight_versions"), len(tokens))
        finish, cached = FINISHES[about["finish_reason"]["type"]], int(about.get("cached_tokens") or 0)
        return Completion(tokens, sampled(found, sampling), raw, tagged, finish, cached, len(prompt) - cached, 0.0)

    async def score(self, call: Call, tokens: Sequence[int]) -> list[float]:
        """See `Dialect`."""
        body = self._body(call, tokens, {"max_new_tokens": 0, "temperature": 1.0}) | {"logprob_start_len": 0}
        answer = await call.client.post(GENERATE, body, seconds=call.seconds)
        given = answer["meta_info"]["input_token_logprobs"]
        if [int(token) for _, token, *_ in given] != list(tokens):
            raise EngineError("the server's log-probs are not those of its tokens")
        return [0.0, *(float(logprob) for logprob, *_ in given[1:])]

    async def pause(self, call: Call, mode: Literal["abort", "keep"]) -> None:
        """See `Dialect`."""
        await call.client.tell("/pause_generation", {"mode": MODES[mode]}, seconds=call.seconds)

    async def resume(self, call: Call) -> None:
        """See `Dialect`."""
        await call.client.tell("/continue_generation", {}, seconds=call.seconds)

    async def load(self, call: Call, update: WeightUpdate) -> str:
        """See `Dialect`. The cache is not flushed, which fails beside requests that are kept: see `_body`."""
        if isinstance(update, AdapterUpdate):
            return await load_adapter(call, update)
        if not isinstance(update, FileUpdate):
            raise EngineError(f"SGLang's server does not accept updates of the kind {update.kind}")
        body = {
            "model_path": str(update.folder.resolve()),
            "weight_version": str(update.version),
            "flush_cache": False,
            "keep_pause": True,
        }
        answer = await call.client.post("/update_weights_from_disk", body, seconds=call.seconds)
        if not answer["success"]:
            raise EngineError(f"the server did not load the weights of version {update.version}: {answer['message']}")
        return call.model

    async def stats(self, call: Call) -> EngineStats | None:
        """See `Dialect`. The scheduler itself answers; its counters need `--enable-metrics` and are not used."""
        await call.client.get("/server_info", seconds=call.seconds)
        return None

    def _body(self, call: Call, tokens: Sequence[int], parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "input_ids": list(tokens),
            "sampling_params": parameters,
            "return_logprob": True,
            "stream": False,
            "extra_key": f"{call.run}-v{call.version}",  # keys and values are not reused for other weights
            **({"lora_path": call.model} if is_adapter(call.model) else {}),
        }


def _parameters(sampling: Sampling) -> dict[str, Any]:
    return {
        "max_new_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or -1,
        "min_p": sampling.min_p,
        "sampling_seed": sampling.seed,
        "stop_token_ids": list(sampling.stop),
        "ignore_eos": not sampling.stop,  # with it, SGLang ignores the other stop tokens too
        "no_stop_trim": True,
        "skip_special_tokens": False,
    }
