"""vLLM's transfer of weights, against a fake of its protocol with a group of gloo in the place of NCCL.

The Engine contract suite runs on the same fake (`test_contract.py`).
"""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import fake_transfer
import pytest
import torch
from engine_models import decoder, engine
from fake_transfer import WORKERS, FakeTransfer, Gloo
from fake_vllm import served
from test_contract import scores
from torch import Tensor

from espalier.core.errors import ConfigError, EngineError, EngineLostError
from espalier.core.net.http import HttpClient
from espalier.engine.build import build_engine
from espalier.engine.channels import transfer as channels
from espalier.engine.channels.transfer import Nccl, Sender, Transfer, buckets
from espalier.engine.config import EngineConfig
from espalier.engine.http import transfer as http
from espalier.engine.http.dialect import Call
from espalier.engine.http.engine import HttpEngine
from espalier.engine.http.vllm import VllmDialect
from espalier.engine.probe import ProbeError
from espalier.engine.updates import Probe, TensorUpdate, TransferUpdate, WeightUpdate
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import inject

PROMPT = [5, 6, 7, 8]
OLD, NEW = decoder(seed=0), decoder(seed=1)
PUBLISH = ["/pause?mode=keep", "/start_weight_update", "/update_weights", "/finish_weight_update", "/resume"]
JOIN = ["/get_world_size", "/init_weight_transfer_engine"]
PROBE = ["/inference/v1/generate"]


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(main(), 60))  # type: ignore[arg-type]


@asynccontextmanager
async def joined(fake: FakeTransfer) -> AsyncIterator[HttpEngine]:
    async with served(fake.answer) as url:
        dialect = VllmDialect(updates=frozenset(("transfer",)))
        found = await HttpEngine.join(url, dialect, max_rows=8, seconds=30.0)
        try:
            yield found
        finally:
            await found.close()


def sent(channel: Transfer, model: Decoder, version: int) -> WeightUpdate:
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return channel.send(TensorUpdate(version, tensors, Probe([PROMPT], [scores(model, PROMPT)])))


def transferred(model: Decoder) -> TransferUpdate:
    update = sent(Transfer(model, Gloo), model, 1)
    assert isinstance(update, TransferUpdate)
    return update


def test_a_server_joins_once_and_receives_in_the_order_of_the_protocol() -> None:
    async def main() -> FakeTransfer:
        fake, channel = FakeTransfer(OLD), Transfer(OLD, Gloo)
        async with joined(fake) as found:
            for version, model in ((1, NEW), (2, OLD)):
                await found.publish(sent(channel, model, version))
        return fake

    fake = run(main)
    pause, *rest = PUBLISH
    assert [path for path, _ in fake.asked] == ["/v1/models", pause, *JOIN, *rest, *PROBE, *PUBLISH, *PROBE]
    info = dict(fake.asked)["/init_weight_transfer_engine"]["init_info"]
    assert (info["rank_offset"], info["world_size"]) == (1, WORKERS + 1)


def test_weights_go_in_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "BUCKET_BYTES", 10_000)

    async def main() -> FakeTransfer:
        fake = FakeTransfer(OLD)
        async with joined(fake) as found:
            await found.publish(transferred(NEW))
        return fake

    fake = run(main)
    told = [body["update_info"]["names"] for path, body in fake.asked if path == "/update_weights"]
    assert len(told) > 3
    assert [name for names in told for name in names] == [name for name, _ in NEW.named_parameters()]
    assert all(p.equal(q) for p, q in zip(fake.base.model.parameters(), NEW.parameters(), strict=True))


def test_buckets_are_full_and_never_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "BUCKET_BYTES", 12)
    tensors = {name: torch.zeros(size) for name, size in {"a": 1, "b": 2, "c": 1, "d": 9, "e": 0, "f": 3}.items()}
    assert [list(bucket) for bucket in buckets(tensors)] == [["a", "b"], ["c"], ["d"], ["e", "f"]]


def test_the_probe_rejects_weights_of_which_a_part_is_lost() -> None:
    async def main() -> None:
        fake = FakeTransfer(OLD, takes=lambda name: "layers.1.mlp" not in name)
        async with joined(fake) as found:
            with pytest.raises(ProbeError, match="does not serve the weights of version 1"):
                await found.publish(transferred(NEW))

    run(main)


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        (["/start_weight_update", "/update_weights"], "not initialized"),
        (["/init", "/update_weights"], "start_weight_update must be called before update_weights"),
        (["/init", "/start_weight_update", "/start_weight_update"], "already active"),
        (["/init", "/finish_weight_update"], "without a matching start_weight_update"),
        (["/init", "/start_weight_update", "/packed"], "unknown fields: .'packed'"),
    ],
)
def test_the_fake_refuses_another_order(calls: list[str], message: str) -> None:
    """Otherwise the tests above would show nothing."""
    sender = Gloo(WORKERS)
    init = {"init_info": {**sender.invitation, "rank_offset": 1, "world_size": WORKERS + 1, "packed": False}}
    nothing: dict[str, Any] = {"names": [], "dtype_names": [], "shapes": []}
    bodies = {
        "/update_weights": {"update_info": nothing},
        "/packed": {"update_info": nothing | {"packed": True}},
        "/finish_weight_update": {"weight_version": "1"},
    }

    async def main() -> None:
        async with served(FakeTransfer(OLD).answer) as url:
            client = HttpClient(url)
            with pytest.raises(Exception, match=message):  # noqa: PT012
                for path in calls:
                    if path == "/init":
                        told = client.tell("/init_weight_transfer_engine", init, seconds=20)
                        await asyncio.gather(told, asyncio.to_thread(sender.join))
                    else:
                        await client.tell(path.replace("packed", "update_weights"), bodies.get(path), seconds=20)
            await client.close()

    run(main)


class Silent(Gloo):
    """A sender of which an end hangs, or fails."""

    def __init__(self, workers: int, **ends: Callable[[], Any]) -> None:
        super().__init__(workers)
        self.ends = ends

    def join(self) -> None:
        self.end("join")
        super().join()

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        self.end("broadcast")
        super().broadcast(tensors)
        self.end("sent")

    def end(self, name: str) -> None:
        if name in self.ends:
            self.ends[name]()


def fails() -> None:
    raise RuntimeError("NCCL error: remote process exited")


def refuse(path: str) -> Callable[[str, Any], Any]:
    def change(asked: str, answer: Any) -> Any:
        if asked == path:
            raise EngineError("Weight transfer not configured")
        return answer

    return change


HANGS = threading.Event().wait


@pytest.mark.parametrize(
    ("sender", "change", "message"),
    [
        ({"join": HANGS}, refuse("/get_world_size"), "not configured"),
        ({"join": HANGS}, None, "took no weights within 0.5 s|did not answer within 0.5 s"),
        ({"join": fails}, None, "the weights could not be sent: NCCL error: remote process exited"),
        ({"broadcast": HANGS}, None, "/update_weights.* within 0.5 s"),
        ({"sent": HANGS}, None, "/update_weights: the workers took no weights within 0.5 s"),
        ({"broadcast": fails}, None, "the weights could not be sent: NCCL error"),
        ({}, refuse("/start_weight_update"), "not configured"),
    ],
)
def test_an_end_that_fails_or_hangs_ends_the_update(
    sender: dict[str, Any], change: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them within the deadline, and the next update joins anew."""
    monkeypatch.setattr(fake_transfer, "SECONDS", 1.0)
    update = sent(Transfer(NEW, lambda workers: Silent(workers, **sender)), NEW, 1)
    assert isinstance(update, TransferUpdate)

    async def main() -> None:
        fake = FakeTransfer(OLD, change or (lambda path, answer: answer))
        async with served(fake.answer) as url:
            client = HttpClient(url)
            with pytest.raises(Exception, match=message):
                await http.transfer(Call(client, "policy", 0, 0.5, "run"), update)
            assert not update.senders
            await client.close()

    run(main)


def test_a_server_that_is_lost_in_a_transfer_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_transfer, "SECONDS", 1.0)

    async def main() -> None:
        async with joined(FakeTransfer(OLD)) as found:
            channel = Transfer(NEW, lambda workers: Silent(workers, broadcast=fails))
            with pytest.raises(EngineLostError, match="the weights could not be sent"):
                await found.publish(sent(channel, NEW, 1))

    run(main)


def test_an_update_keeps_its_weights_while_the_learner_changes_its_own() -> None:
    model = decoder(seed=1)
    update = transferred(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert all(update.tensors[name].equal(parameter) for name, parameter in NEW.named_parameters())


def test_adapters_are_added_and_experts_have_the_names_of_checkpoints() -> None:
    model = decoder()
    inject(model, LoraConfig(rank=2, alpha=4.0, targets=("q_proj",)), seed=1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_B"):
                parameter.fill_(0.5)
    tensors = transferred(model).tensors
    name = "model.layers.0.self_attn.q_proj.weight"
    assert tensors.keys() == dict(decoder().named_parameters()).keys()
    assert not tensors[name].equal(dict(decoder().named_parameters())[name])
    experts = transferred(decoder("qwen3_moe")).tensors
    assert "model.layers.0.mlp.experts.3.up_proj.weight" in experts
    assert all(tensor.is_contiguous() for tensor in experts.values())


def test_a_model_on_a_cpu_is_refused() -> None:
    config = EngineConfig.of(kind="vllm", vllm={"urls": ["http://127.0.0.1:9"], "transfer": True})
    with pytest.raises(ConfigError, match="on cpu: vLLM registers no transport for CPU; publish through files"):
        build_engine(OLD, config)


def test_the_embedded_engine_does_not_take_what_is_broadcast() -> None:
    with pytest.raises(EngineError, match="does not accept updates of the kind transfer"):
        asyncio.run(engine(OLD, weights="copy").load(transferred(NEW)))


def test_what_nccl_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded: the group is that of the id, its first collective the sum of one number, then tensors in order."""
    said: list[Any] = []
    stream = SimpleNamespace(
        device=torch.device("cpu"),
        synchronize=lambda: said.append("synchronize"),
        wait_stream=lambda other: said.append("wait"),
    )
    for place, name, value in (
        (torch.cuda, "Stream", lambda device: stream),
        (torch.cuda, "stream", lambda found: nullcontext()),
        (torch.cuda, "default_stream", lambda device: None),
        (channels.nccl, "unique_id", lambda: bytes(range(128))),
        (channels.nccl, "init_rank", lambda *given: said.append(given) or "group"),
        (channels.nccl, "all_reduce", lambda given, comms: said.append(("sum", given[0].tolist(), comms))),
        (channels.nccl, "broadcast", lambda given, comms: said.append(("send", given[0].tolist(), comms))),
    ):
        monkeypatch.setattr(place, name, value)
    sender: Sender = Nccl(torch.device("cpu"), 3)
    assert base64.b64decode(sender.invitation["nccl_unique_id_b64"], validate=True) == bytes(range(128))
    sender.join()
    sender.broadcast([torch.ones(1), torch.zeros(2)])
    joined = [(4, bytes(range(128)), 0), ("sum", [0.0], ["group"]), "synchronize"]
    tensors = [("send", [1.0], ["group"]), ("send", [0.0, 0.0], ["group"])]
    assert said == [*joined, "wait", *tensors, "synchronize"]
