"""Adapters on a server. Each version has a name of its own, so that no cache mixes two."""

from __future__ import annotations

from espalier.core.net.http import HttpClient, RefusedError
from espalier.engine.http.dialect import Call
from espalier.engine.updates import AdapterUpdate

PREFIX = "espalier-"
"""Begins the names of adapters; the run and the version follow."""
KEPT = 2


async def base_model(client: HttpClient, *, seconds: float) -> tuple[str, int]:
    """The name of the served model, and its longest sequence in tokens."""
    found = await client.get("/v1/models", seconds=seconds)
    models = [model for model in found["data"] if not is_adapter(str(model["id"]))]
    return str(models[0]["id"]), int(models[0]["max_model_len"])


def is_adapter(model: str) -> bool:
    """Whether a model's name is that of an adapter which a run has loaded."""
    return model.startswith(PREFIX)


async def load_adapter(call: Call, update: AdapterUpdate, *, under: str = "") -> str:
    """Load the adapter, and unload those without a running request of this client. Returns the new one's name.

    under: where the server's paths for adapters begin.
    """
    name = f"{PREFIX}{call.run}-{update.version}"
    body = {"lora_name": name, "lora_path": str(update.folder.resolve())}
    try:
        await call.client.tell(f"{under}/load_lora_adapter", body, seconds=call.seconds)
    except RefusedError as error:
        if "already" not in str(error):  # the same version is published again after an evaluation
            raise
    for version in range(min(update.version - KEPT, call.oldest - 1), -1, -1):
        try:
            gone = {"lora_name": f"{PREFIX}{call.run}-{version}"}
            await call.client.tell(f"{under}/unload_lora_adapter", gone, seconds=call.seconds)
        except RefusedError:
            break  # that one and those before it are unloaded
    return name
