"""vLLM's server: token ids in and out, pauses, and weights from disk, as adapters or from the learner's GPU.

Tested with vLLM 0.32.0. It needs a server that was started with `--enable-scale-out` (the token endpoint) and
VLLM_SERVER_DEV_MODE=1 (pauses and weights); `espalier.engine.launch` starts one that way. The development endpoints
have no authentication and can call any method of a worker: keep the server on loopback or in a private network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from espalier.core.errors import EngineError
from espalier.core.net.http import HttpClient
from espalier.engine.api import Capabilities, Completion, EngineStats, Sampling, UpdateKind
from espalier.engine.http.adapters import base_model, load_adapter
from espalier.engine.http.answers import FINISHES, sampled, versions
from espalier.engine.http.dialect import Call
from espalier.engine.http.transfer import transfer
from espalier.engine.updates import AdapterUpdate, FileUpdate, TransferUpdate, WeightUpdate

GENERATE = "/inference/v1/generate"
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
        return await base_model(client, seconds=seconds)

    async def generate(self, call: Call, prompt: Sequence[int], sampling: Sampling, request: str) -> Completion:
        """See `Dialect`. The log-probs are those of the softmax at temperature 1 without truncation, whatever was
        sampled.
        """
        body = self._body(call, prompt, request, _parameters(sampling))
        answer = await call.client.post(GENERATE, body, seconds=call.seconds)
        choice = answer["choices"][0]
        tokens = [int(token) for token in choice["token_ids"]]
        content = choice["logprobs"]["content"] if choice["logprobs"] else []
        raw = [float(entry["logprob"]) for entry in content]
        if [int(entry["token_id"]) for entry in content] != tokens:
            raise EngineError("the server's log-probs are not those of its tokens")
        finish, cached = FINISHES[choice["finish_reason"]], _cached(answer)
        tagged = versions(call, choice.get("weight_versions"), len(tokens))
        return Completion(tokens, sampled(raw, sampling), raw, tagged, finish, cached, len(prompt) - cached, 0.0)

    async def score(self, call: Call, tokens: Sequence[int]) -> list[float]:
        """See `Dialect`."""
        wanted = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
        body = self._body(call, tokens, "", wanted)
        answer = await call.client.post(GENERATE, body, seconds=call.seconds)
        found = answer["prompt_logprobs"]
        return [0.0, *(float(entry[str(token)]["logprob"]) for token, entry in zip(tokens[1:], found[1:], strict=True))]

    async def pause(self, call: Call, mode: Literal["abort", "keep"]) -> None:
        """See `Dialect`."""
        await call.client.tell(f"/pause?mode={mode}", seconds=call.seconds)

    async def resume(self, call: Call) -> None:
        """See `Dialect`."""
        await call.client.tell("/resume", seconds=call.seconds)

    async def load(self, call: Call, update: WeightUpdate) -> str:
        """See `Dialect`."""
        if isinstance(update, AdapterUpdate):
            return await load_adapter(call, update, under="/v1")
        if isinstance(update, TransferUpdate):
            await transfer(call, update)
            return call.model
        if not isinstance(update, FileUpdate):
            raise EngineError(f"vLLM's server does not accept updates of the kind {update.kind}")
        body = {"method": self._method, "kwargs": {"weights_path": str(update.folder)}}
        await call.client.tell("/collective_rpc", body, seconds=call.seconds)
        await call.client.tell("/update_weight_version", {"new_version": str(update.version)}, seconds=call.seconds)
        return call.model

    async def stats(self, call: Call) -> EngineStats | None:
        """See `Dialect`."""
        found = EngineStats()
        for line in (await call.client.text("/metrics", seconds=call.seconds)).splitlines():
            name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
            if name in COUNTERS:
                setattr(found, COUNTERS[name], getattr(found, COUNTERS[name]) + int(float(rest.rpartition(" ")[2])))
        found.prefilled_tokens = found.prompt_tokens - found.cached_tokens
        return found

    def _body(self, call: Call, tokens: Sequence[int], request: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "model": call.model,
            "token_ids": list(tokens),
            "cache_salt": f"{call.run}-v{call.version}",  # keys and values are not reused for other weights
            "sampling_params": parameters,
            **({"request_id": request} if request else {}),
        }


def _parameters(sampling: Sampling) -> dict[str, Any]:
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


def _cached(answer: Mapping[str, Any]) -> int:
    details = (answer.get("usage") or {}).get("prompt_tokens_details") or {}
    return int(details.get("cached_tokens") or 0)
