"""A worker extension of vLLM's CPU build: full weights from a folder, and adapters beside scores. Imports nothing but
torch and vLLM.

vLLM's CPU build packs linear layers for its kernels. `reload_weights` packs those of the layers anew, and not an output
head that is tied to the embedding: the server then answers with a mixture of two policies. With full weights this
module replaces the function that packs, before the model is loaded, by one that keeps the weight.

With adapters the CPU build ends where the log-probs of a prompt are asked for while another request runs: it applies
adapters of the output head to more rows than it has indices for. We adapt no output head, and leave them out there.

Both patch private functions of vLLM 0.32.0; other versions are refused on a CPU. Nothing is done where there is a GPU.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
import vllm
from vllm.platforms import current_platform

TESTED = ("0.32.0",)


def _keep_weight(layer: torch.nn.Module, remove_weight: bool) -> None:
    layer.cpu_linear = torch.nn.functional.linear  # type: ignore[assignment]


def _keep_weights() -> None:
    from vllm.model_executor.layers import linear, utils, vocab_parallel_embedding

    if not hasattr(utils, "dispatch_cpu_unquantized_gemm"):
        raise RuntimeError("vLLM has no dispatch_cpu_unquantized_gemm any more: its weights cannot be replaced")
    for place in (utils, linear, vocab_parallel_embedding):  # the last two may have imported the name before
        if hasattr(place, "dispatch_cpu_unquantized_gemm"):
            place.dispatch_cpu_unquantized_gemm = _keep_weight


def _spare_scores() -> None:
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    add = PunicaWrapperCPU.add_lora_logits

    def add_where_indexed(self: Any, y: torch.Tensor, x: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        if x.view(-1, x.shape[-1]).size(0) == self.sampler_indices.size(0):
            add(self, y, x, *args, **kwargs)

    PunicaWrapperCPU.add_lora_logits = add_where_indexed


if current_platform.is_cpu():
    if not vllm.__version__.startswith(TESTED):
        raise RuntimeError(f"vLLM {vllm.__version__} on a CPU is not tested; tested: {', '.join(TESTED)}")
    if os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        _spare_scores()
    else:
        _keep_weights()


class WorkerExtension:
    """Methods that a worker gets, to be called by `/collective_rpc`."""

    model_runner: Any  # the worker's

    def espalier_load(self, weights_path: str) -> int:
        """Load the safetensors of a folder into the running model; returns the number of tensors."""
        from safetensors.torch import load_file

        folder = Path(weights_path)
        index = folder / "model.safetensors.index.json"
        names = ["model.safetensors"]
        if index.exists():
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        count = 0
        for name in names:
            tensors = load_file(folder / name)
            self.model_runner.model.load_weights(iter(tensors.items()))
            count += len(tensors)
        return count
