"""vLLM's server: token ids in and out, pauses, and weights from disk or as adapters.

Tested with vLLM 0.32.0. It needs a server that was started with `--enable-scale-out` (the token endpoint) and
VLLM_SERVER_DEV_MODE=1 (pauses and weights); `espalier.engine.launch` starts one that way. The development endpoints
have no authentication and can call any method of a worker: keep the server on loopback or in a private network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espalier.core.errors import EngineError
from espalier.core.net.http import HttpClient, RefusedError
from espalier.engine.api import Capabilities, Completion, EngineStats, Finish, PauseMode, Sampling, UpdateKind
from espalier.engine.http.dialect import Call
from espalier.engine.updates import AdapterUpdate, FileUpdate, WeightUpdate

GENERATE = "/inference/v1/generate"
MODES: Mapping[PauseMode, str] = {"abort": "abort", "finish": "wait", "keep": "keep"}
FINISHES: Mapping[str, Finish] = {"stop": "stop", "length": "length", "abort": "abort"}
ADAPTER = "espalier-"
"""Begins the names of adapters; the run and the version follow."""
KEPT_ADAPTERS = 2
COUNTERS = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:prompt_tokens_cached_total": "cached_tokens",
    "vllm:generation_tokens_total": "sampled_tokens",
}


class VllmDialect:
    """Implements `Dialect`. method: of the workers, by which full weights are loaded from a folder."""

    def __init__(self, *, updates: frozenset[UpdateKind], method: str = "espalier_load") -> None:
        self._updates = updates
        self._method = method

    @property
    def capabilities(self) -> Capabilities:
        """See `Dialect`. The random numbers are vLLM's own."""
        return Capabilities(updates=self._updates, seeded=False)

    async def describe(self, client: HttpClient, *, seconds: float) -> tuple[str, int]:
        """See `Dialect`."""
        found = await client.get("/v1/models", seconds=seconds)
        models = [model for model in found["data"] if not str(model["id"]).startswith(ADAPTER)]
        return str(models[0]["id"]), int(models[0]["max_model_len"])

    async def generate(self, call: Call, prompt: Sequence[int], sampling: Sampling, request: str) -> Completion:
        """See `Dialect`. The log-probs are those of the softmax at temperature 1 without truncation, whatever was
        sampled; `logprobs` are NaN where the two differ, except that greedy tokens have 0.
        """
        body = self._body(call, prompt, request, _parameters(sampling))
        answer = await call.client.post(GENERATE, body, seconds=call.seconds)
        try:
            choice = answer["choices"][0]
            tokens = [int(token) for token in choice["token_ids"]]
            content = choice["logprobs"]["content"] if choice["logprobs"] else []
            raw = [float(entry["logprob"]) for entry in content]
            if [int(entry["token_id"]) for entry in content] != tokens:
                raise EngineError("the server's log-probs are not those of its tokens")
            finish, cached = FINISHES[choice["finish_reason"]], _cached(answer)
        except (KeyError, IndexError, TypeError) as error:
            raise EngineError(f"the server's answer is not of the form expected: {error!r}") from None
        spans = None if "adapter" in self._updates else choice.get("weight_versions")
        versions = _versions(spans, len(tokens), call.version)
        return Completion(tokens, _sampled(raw, sampling), raw, versions, finish, cached, len(prompt) - cached, 0.0)

    async def score(self, call: Call, tokens: Sequence[int]) -> list[float]:
        """See `Dialect`."""
        wanted = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
        body = self._body(call, tokens, "", wanted)
        answer = await call.client.post(GENERATE, body, seconds=call.seconds)
        found = answer["prompt_logprobs"]
        return [0.0, *(float(entry[str(token)]["logprob"]) for token, entry in zip(tokens[1:], found[1:], strict=True))]

    async def pause(self, call: Call, mode: PauseMode) -> None:
        """See `Dialect`."""
        await call.client.tell(f"/pause?mode={MODES[mode]}", seconds=call.seconds)

    async def resume(self, call: Call) -> None:
        """See `Dialect`."""
        await call.client.tell("/resume", seconds=call.seconds)

    async def load(self, call: Call, update: WeightUpdate) -> str:
        """See `Dialect`. An adapter gets a name of its own for each version, so that no cache mixes two."""
        if isinstance(update, AdapterUpdate):
            return await self._load_adapter(call, update)
        if not isinstance(update, FileUpdate):
            raise EngineError(f"vLLM's server does not accept updates of the kind {update.kind}")
        body = {"method": self._method, "kwargs": {"weights_path": str(update.folder)}}
        await call.client.tell("/collective_rpc", body, seconds=call.seconds)
        await call.client.tell("/update_weight_version", {"new_version": str(update.version)}, seconds=call.seconds)
        return call.model

    async def stats(self, call: Call) -> EngineStats:
        """See `Dialect`."""
        found = EngineStats()
        for line in (await call.client.text("/metrics", seconds=call.seconds)).splitlines():
            name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
            if name in COUNTERS:
                setattr(found, COUNTERS[name], getattr(found, COUNTERS[name]) + int(float(rest.rpartition(" ")[2])))
        found.prefilled_tokens = found.prompt_tokens - found.cached_tokens
        return found

    async def _load_adapter(self, call: Call, update: AdapterUpdate) -> str:
        name = f"{ADAPTER}{call.run}-{update.version}"
        body = {"lora_name": name, "lora_path": str(Path(update.folder).resolve())}
        try:
            await call.client.tell("/v1/load_lora_adapter", body, seconds=call.seconds)
        except RefusedError as error:
            if "already been loaded" not in str(error):  # the same version is published again after an evaluation
                raise
        for version in range(update.version - KEPT_ADAPTERS, -1, -1):
            try:
                gone = {"lora_name": f"{ADAPTER}{call.run}-{version}"}
                await call.client.tell("/v1/unload_lora_adapter", gone, seconds=call.seconds)
            except RefusedError:
                break  # that one and those before it are unloaded
        return name

    def _body(self, call: Call, tokens: Sequence[int], request: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "model": call.model,
            "token_ids": list(tokens),
            "cache_salt": f"{call.run}-v{call.version}",  # keys and values are not reused for other weights
            "sampling_params": parameters,
            **({"request_id": request} if request else {}),
        }


def _parameters(sampling: Sampling) -> dict[str, Any]:
    if sampling.stop_sequences:
        raise EngineError("vLLM's server ends a completion at single tokens, not at sequences of them")
    return {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "seed": sampling.seed,
        "logprobs": 0,
        "stop_token_ids": list(sampling.stop),
        "ignore_eos": True,
        "detokenize": False,
    }


def _sampled(raw: list[float], sampling: Sampling) -> list[float]:
    """Log-probs under the distribution that was sampled, as far as the raw ones tell."""
    if sampling.temperature == 0.0:
        return [0.0] * len(raw)
    plain = sampling.temperature == 1.0 and sampling.top_p == 1.0 and not sampling.top_k and not sampling.min_p
    return list(raw) if plain else [math.nan] * len(raw)


def _versions(spans: Any, count: int, current: int) -> list[int]:
    """The version of each token, from spans `[{"version": "7", "start": 0, "end": 2}]`. Without them it is `current`:
    a request that names an adapter is answered by that adapter alone, and the label of the base weights means nothing.

    Weights that were never labelled are version 0.
    """
    if not spans:
        return [current] * count
    versions = [0] * count
    for span in spans:
        label = str(span["version"])
        version = int(label) if label.isdecimal() else 0
        versions[int(span["start"]) : int(span["end"])] = [version] * (int(span["end"]) - int(span["start"]))
    return versions


def _cached(answer: Mapping[str, Any]) -> int:
    details = (answer.get("usage") or {}).get("prompt_tokens_details") or {}
    return int(details.get("cached_tokens") or 0)
