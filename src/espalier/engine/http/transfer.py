"""vLLM's transfer of weights: tells a server to receive what the learner broadcasts meanwhile.

Written from the source of vLLM 0.32.0, for servers that were started with `--weight-transfer-config
'{"backend": "nccl"}'`. It has not been run on a GPU.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from espalier.core.net.http import UnreachableError
from espalier.engine.channels.transfer import Sender, buckets
from espalier.engine.http.dialect import Call
from espalier.engine.updates import TransferUpdate


async def transfer(call: Call, update: TransferUpdate) -> None:
    """Load the weights of `update`, and label them. A server joins the learner's group with its first update.

    Raises UnreachableError where the weights could not be sent. The group is then not used again.
    """
    try:
        if call.run not in update.senders:
            update.senders[call.run] = await _joined(call, update)
        sender = update.senders[call.run]
        await call.client.tell("/start_weight_update", seconds=call.seconds)
        for bucket in buckets(update.tensors):
            info = {
                "names": list(bucket),
                "dtype_names": [str(tensor.dtype).removeprefix("torch.") for tensor in bucket.values()],
                "shapes": [list(tensor.shape) for tensor in bucket.values()],
            }
            await _both(call, "/update_weights", {"update_info": info}, partial(sender.broadcast, [*bucket.values()]))
        version = {"weight_version": str(update.version)}
        await call.client.tell("/finish_weight_update", version, seconds=call.seconds)
    except BaseException:
        update.senders.pop(call.run, None)
        raise


async def _joined(call: Call, update: TransferUpdate) -> Sender:
    found = await call.client.get("/get_world_size", seconds=call.seconds)
    workers = int(found["world_size"])
    sender = update.connect(workers)
    info = {**sender.invitation, "rank_offset": 1, "world_size": workers + 1, "packed": False}
    await _both(call, "/init_weight_transfer_engine", {"init_info": info}, sender.join)
    return sender


async def _both(call: Call, path: str, body: Any, send: Callable[[], None]) -> None:
    """Tell the server something, and run `send` meanwhile. Raises the first error, without waiting for the other end,
    which may never return.
    """
    answer = asyncio.ensure_future(call.client.tell(path, body, seconds=call.seconds))
    sent = _in_thread(send)
    try:
        ended, _ = await asyncio.wait((answer, sent), timeout=call.seconds, return_when=asyncio.FIRST_EXCEPTION)
        errors = [end.exception() for end in (answer, sent) if end in ended]
        if error := next(filter(None, errors), None):
            raise error
        if len(ended) < 2:
            raise UnreachableError(f"{call.client.url}{path}: the workers took no weights within {call.seconds:g} s")
    finally:
        answer.cancel()
        sent.cancel()


def _in_thread(send: Callable[[], None]) -> asyncio.Future[None]:
    """The end of `send`, in a thread that does not keep the process alive."""
    done: Future[None] = Future()
    done.set_running_or_notify_cancel()

    def work() -> None:
        try:
            send()
        except Exception as error:  # of any kind that a group raises
            done.set_exception(UnreachableError(f"the weights could not be sent: {error or type(error).__name__}"))
        else:
            done.set_result(None)

    threading.Thread(target=work, daemon=True, name="transfer").start()
    return asyncio.wrap_future(done)
