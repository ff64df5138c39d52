"""A server that speaks vLLM's protocol with its transfer of weights, as the source of 0.32.0 has it, over an embedded
engine. Its workers are threads, and the group is one of gloo.

It refuses what vLLM's workers refuse: an update before it was started, fields that it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from embedded_server import Change, EmbeddedServer, RefusalError, known, spanned, unless_aborted
from torch import Tensor

from espalier.engine.api import Sampling
from espalier.engine.updates import TensorUpdate
from espalier.lm.decoder import Decoder

WORKERS = 2
SECONDS = 20.0
"""For which an end of the group waits for another."""


class Gloo:
    """Implements `Sender` by gloo, on loopback."""

    def __init__(self, workers: int) -> None:
        self.size = workers + 1
        self.store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self.group: Any = None

    @property
    def invitation(self) -> Mapping[str, Any]:
        return {"master_address": "127.0.0.1", "master_port": self.store.port}

    def join(self) -> None:
        self.group = grouped(self.store, 0, self.size)

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            self.group.broadcast(tensor, 0).wait()


def grouped(store: dist.Store, rank: int, size: int) -> Any:
    return dist.ProcessGroupGloo(dist.PrefixStore("weights", store), rank, size, timedelta(seconds=SECONDS))


class FakeTransfer(EmbeddedServer):
    """takes: which weights it loads of those that it receives."""

    def __init__(
        self,
        model: Decoder,
        change: Change = lambda path, answer: answer,
        *,
        takes: Callable[[str], bool] = lambda name: True,
    ) -> None:
        super().__init__(model, change)
        self.takes = takes
        self.groups: list[Any] = []
        self.received: dict[str, Tensor] | None = None
        """None outside of an update."""
        self.labels = {0: "default"}

    @property
    def routes(self) -> dict[str, Callable[[Any], Awaitable[Any]]]:
        return {
            "/v1/models": self.models,
            "/metrics": self.metrics,
            "/inference/v1/generate": self.generate,
            "/pause?mode=keep": partial(self.pause, "keep"),
            "/pause?mode=abort": partial(self.pause, "abort"),
            "/resume": self.resume,
            "/get_world_size": self.world,
            "/init_weight_transfer_engine": self.init,
            "/start_weight_update": self.start,
            "/update_weights": self.update,
            "/finish_weight_update": self.finish,
        }

    async def models(self, body: Any) -> Any:
        return {"data": [{"id": "policy", "max_model_len": self.base.max_len}]}

    async def metrics(self, body: Any) -> Any:
        found = await self.base.stats()
        figures = {
            "num_requests_running": found.running,
            "num_requests_waiting": found.waiting,
            "prompt_tokens_total": found.prompt_tokens,
            "prompt_tokens_cached_total": found.cached_tokens,
            "generation_tokens_total": found.sampled_tokens,
        }
        return "".join(f'vllm:{name}{{engine="0"}} {float(figure)}\n' for name, figure in figures.items())

    async def generate(self, body: Any) -> Any:
        given, ids = body["sampling_params"], body["token_ids"]
        if "prompt_logprobs" in given:
            rows = zip(ids[1:], (await self.base.score(ids))[1:], strict=True)
            return {"prompt_logprobs": [None, *({str(token): {"logprob": logprob}} for token, logprob in rows)]}
        sampling = Sampling(
            given["max_tokens"],
            **{name: given[name] for name in ("temperature", "top_p", "top_k", "min_p", "seed")},
            stop=tuple(given["stop_token_ids"]),
        )
        task = asyncio.create_task(self.base.generate(ids, sampling))
        try:
            done = await unless_aborted(task)
        except asyncio.CancelledError:
            task.cancel()  # vLLM notices a closed connection at once
            raise
        content = [
            {"token_id": token, "logprob": logprob}
            for token, logprob in zip(done.tokens, done.raw_logprobs, strict=True)
        ]
        choice = {
            "finish_reason": done.finish,
            "token_ids": done.tokens,
            "logprobs": {"content": content},
            "weight_versions": spanned(done.versions, self.labels),
        }
        return {"choices": [choice], "usage": {"prompt_tokens_details": {"cached_tokens": done.cached}}}

    async def pause(self, mode: Any, body: Any) -> Any:
        await self.base.pause(mode)
        return {"status": "paused"}

    async def resume(self, body: Any) -> Any:
        await self.base.resume()
        return {"status": "resumed"}

    async def world(self, body: Any) -> Any:
        return {"world_size": WORKERS}

    async def init(self, body: Any) -> Any:
        info = body["init_info"]
        known(info, "master_address", "master_port", "rank_offset", "world_size", "packed")
        if info["packed"]:
            raise RefusalError(500, "this fake receives one tensor at a time")

        def join(rank: int) -> Any:
            store = dist.TCPStore(info["master_address"], info["master_port"], is_master=False, wait_for_workers=False)
            return grouped(store, rank, info["world_size"])

        ranks = range(info["rank_offset"], info["rank_offset"] + WORKERS)
        self.groups = await asyncio.gather(*(asyncio.to_thread(join, rank) for rank in ranks))
        return {"message": "Weight transfer initialized"}

    async def start(self, body: Any) -> Any:
        if self.received is not None:
            raise RefusalError(500, "start_weight_update called while a weight update is already active.")
        self.received = {}
        return {"message": "Weight update started"}

    async def update(self, body: Any) -> Any:
        info = body["update_info"]
        known(info, "names", "dtype_names", "shapes")
        if not self.groups:
            raise RefusalError(500, "NCCL weight transfer not initialized. Call init_transfer_engine() first.")
        if self.received is None:
            raise RefusalError(500, "start_weight_update must be called before update_weights.")

        def receive(group: Any) -> dict[str, Tensor]:
            found = {}
            for name, dtype, shape in zip(info["names"], info["dtype_names"], info["shapes"], strict=True):
                found[name] = torch.empty(shape, dtype=getattr(torch, dtype))
                group.broadcast(found[name], 0).wait()
            return found

        one, other = await asyncio.gather(*(asyncio.to_thread(receive, group) for group in self.groups))
        assert all(tensor.equal(other[name]) for name, tensor in one.items())
        self.received |= one
        return {"message": "Weights updated"}

    async def finish(self, body: Any) -> Any:
        known(body, "weight_version")
        if self.received is None:
            raise RefusalError(500, "finish_weight_update called without a matching start_weight_update.")
        taken = {name: tensor for name, tensor in self.received.items() if self.takes(name)}
        self.received = None
        version = int(body["weight_version"])
        self.labels[version] = body["weight_version"]
        own = {name: parameter.detach() for name, parameter in self.base.model.named_parameters()}
        await self.base.load(TensorUpdate(version, own | taken))
        return {"message": "Weight update finished"}
