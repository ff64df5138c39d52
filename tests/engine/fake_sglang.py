"""A server that speaks SGLang's protocol, as its source of 0.5.23 has it, over embedded engines.

It keeps to what a client can get wrong: an abort takes every request whose name begins with the one given, a closed
connection aborts nothing, stop tokens count only without `ignore_eos`, a flush beside requests fails, an adapter is
unloaded only after its last request, and unknown fields are refused (SGLang ignores them).
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from embedded_server import Change, EmbeddedServer, RefusalError, known, slow, spanned, unless_aborted
from engine_models import VOCABULARY

from espalier.engine.api import Completion, Sampling
from espalier.engine.local import LocalEngine
from espalier.engine.updates import AdapterUpdate, FileUpdate
from espalier.lm.decoder import Decoder

MODES = {"in_place": "keep", "abort": "abort"}


class FakeSglang(EmbeddedServer):
    """spans: whether it tells the version of each token, as newer releases do. loads: whether it loads what it says
    that it has loaded.
    """

    def __init__(
        self,
        model: Decoder,
        change: Change = lambda path, answer: answer,
        *,
        spans: bool = True,
        loads: bool = True,
    ) -> None:
        super().__init__(model, change)
        self.spans, self.loads = spans, loads
        self.adapters: dict[str, LocalEngine] = {}
        self.users: defaultdict[str, int] = defaultdict(int)
        self.tasks: dict[str, asyncio.Task[Completion]] = {}
        self.labels = {0: "default"}

    @property
    def routes(self) -> dict[str, Callable[[Any], Awaitable[Any]]]:
        return {
            "/v1/models": self.models,
            "/server_info": self.info,
            "/generate": self.generate,
            "/pause_generation": self.pause,
            "/continue_generation": self.resume,
            "/abort_request": self.abort,
            "/update_weights_from_disk": self.update,
            "/load_lora_adapter": self.load_adapter,
            "/unload_lora_adapter": self.unload_adapter,
        }

    async def models(self, body: Any) -> Any:
        own = [{"id": "/models/policy", "max_model_len": self.base.max_len}]
        return {"data": [{"id": name, "max_model_len": None} for name in self.adapters] + own}

    async def info(self, body: Any) -> Any:
        return {"version": "0.5.23", "internal_states": [{}]}

    async def generate(self, body: Any) -> Any:
        fields = ("input_ids", "sampling_params", "return_logprob", "stream", "extra_key", "lora_path", "rid")
        known(body, *fields, "logprob_start_len")
        adapter = body.get("lora_path", "")
        if adapter and adapter not in self.adapters:
            raise RefusalError(400, f"the adapter {adapter} is not loaded")
        if not all(0 <= token < VOCABULARY for token in body["input_ids"]):
            raise RefusalError(400, "token ids out of range")
        local = self.adapters.get(adapter, self.base)
        if body["sampling_params"]["max_new_tokens"] == 0:
            return await self.scored(local, body)
        self.users[adapter] += 1
        task = asyncio.create_task(local.generate(body["input_ids"], sampling(body["sampling_params"])))
        self.tasks[body["rid"]] = task
        task.add_done_callback(lambda done: self.forget(body["rid"], adapter))
        return self.said(body, await unless_aborted(task))

    def forget(self, rid: str, adapter: str) -> None:
        del self.tasks[rid]
        self.users[adapter] -= 1

    async def scored(self, local: LocalEngine, body: Any) -> Any:
        found: list[float | None] = [*await local.score(body["input_ids"])]
        if body["logprob_start_len"] != 0:
            raise RefusalError(400, "no log-probs of the prompt were asked for")
        given = [[logprob, token, None] for logprob, token in zip([None, *found[1:]], body["input_ids"], strict=True)]
        return {"text": "", "output_ids": [], "meta_info": {"input_token_logprobs": given, "completion_tokens": 0}}

    def said(self, body: Any, done: Completion | None) -> Any:
        if done is None or (done.finish == "abort" and not done.tokens):
            about: dict[str, Any] = {"finish_reason": {"type": "abort", "message": "Abort in waiting queue"}}
            return {"text": "", "output_ids": [], "meta_info": about | {"completion_tokens": 0}}
        about = {
            "finish_reason": {"type": done.finish},
            "prompt_tokens": len(body["input_ids"]),
            "completion_tokens": len(done.tokens),
            "cached_tokens": done.cached,
        }
        if body["return_logprob"]:
            pairs = zip(done.raw_logprobs, done.tokens, strict=True)
            about["output_token_logprobs"] = [[logprob, token, None] for logprob, token in pairs]
        if self.spans:
            about["weight_versions"] = spanned(done.versions, self.labels)
        return {"text": "", "output_ids": done.tokens, "meta_info": about}

    async def pause(self, body: Any) -> Any:
        known(body, "mode")
        for local in (self.base, *self.adapters.values()):
            await local.pause(MODES[body["mode"]])  # type: ignore[arg-type]
        if body["mode"] == "abort":
            await asyncio.sleep(0.01)
            for task in self.tasks.values():  # those that the engine had not begun
                task.cancel()
        return {"status": "ok"}

    async def resume(self, body: Any) -> Any:
        known(body)
        for local in (self.base, *self.adapters.values()):
            await local.resume()
        return {"status": "ok"}

    async def abort(self, body: Any) -> Any:
        known(body, "rid")
        for rid, task in list(self.tasks.items()):
            if rid.startswith(body["rid"]):
                task.cancel()
        return None

    async def update(self, body: Any) -> Any:
        known(body, "model_path", "weight_version", "flush_cache", "keep_pause")
        if not (Path(body["model_path"]) / "config.json").exists():
            raise RefusalError(400, f"{body['model_path']} is not a folder with a model")
        if body["flush_cache"] and self.tasks:
            raise RefusalError(400, "the cache was not flushed because requests are still running or queued")
        version = int(body["weight_version"])
        self.labels[version] = body["weight_version"]
        if self.loads:
            await self.base.load(FileUpdate(version, Path(body["model_path"])))
        return {"success": True, "message": "", "num_paused_requests": 0}

    async def load_adapter(self, body: Any) -> Any:
        known(body, "lora_name", "lora_path")
        if body["lora_name"] in self.adapters:
            raise RefusalError(400, f"Failed to load LoRA adapter {body['lora_name']} because it is already loaded")
        local = slow(copy.deepcopy(self.model))
        await local.load(AdapterUpdate(0, Path(body["lora_path"])))
        await local.pause("keep")
        self.adapters[body["lora_name"]] = local
        return {"success": True}

    async def unload_adapter(self, body: Any) -> Any:
        known(body, "lora_name")
        if body["lora_name"] not in self.adapters:
            raise RefusalError(400, f"LoRA with name {body['lora_name']} does not exist")
        while self.users[body["lora_name"]]:
            await asyncio.sleep(0.01)
        del self.adapters[body["lora_name"]]
        return {"success": True}


def sampling(given: Any) -> Sampling:
    """SGLang's parameters as the embedded engine's."""
    names = ("max_new_tokens", "temperature", "top_p", "top_k", "min_p", "sampling_seed", "stop_token_ids")
    known(given, *names, "ignore_eos", "no_stop_trim", "skip_special_tokens")
    return Sampling(
        max_tokens=given["max_new_tokens"],
        temperature=given["temperature"],
        top_p=given["top_p"],
        top_k=max(given["top_k"], 0),
        min_p=given["min_p"],
        stop=() if given["ignore_eos"] else tuple(given["stop_token_ids"]),
        seed=given["sampling_seed"],
    )
