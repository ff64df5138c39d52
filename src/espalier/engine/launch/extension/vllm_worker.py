"""A worker extension of vLLM: full weights from a folder, also on its CPU build. Imports nothing but torch and vLLM.

vLLM's CPU build repacks linear layers for its kernels and leaves an empty tensor in the place of each weight, so that
`reload_weights` changes embeddings and norms, and no matrix: the server then answers with a mixture of two policies.
This module replaces the function that repacks, before the model is loaded, by one that keeps the weight. It patches a
private function of vLLM 0.32.0 and refuses other versions on a CPU, and it does nothing where there is a GPU.
"""

import json
from pathlib import Path
from typing import Any

import torch
import vllm
from vllm.model_executor.layers import utils
from vllm.platforms import current_platform

TESTED = ("0.32.0",)


def _keep_weight(layer: torch.nn.Module, remove_weight: bool) -> None:
    layer.cpu_linear = torch.nn.functional.linear  # type: ignore[assignment]


if current_platform.is_cpu():
    if not vllm.__version__.startswith(TESTED):
        raise RuntimeError(f"vLLM {vllm.__version__} on a CPU is not tested; tested: {', '.join(TESTED)}")
    if not hasattr(utils, "dispatch_cpu_unquantized_gemm"):
        raise RuntimeError("vLLM has no dispatch_cpu_unquantized_gemm any more: its weights cannot be replaced")
    utils.dispatch_cpu_unquantized_gemm = _keep_weight
    from vllm.model_executor.layers import linear, vocab_parallel_embedding

    for place in (linear, vocab_parallel_embedding):  # they may have imported the name before
        if hasattr(place, "dispatch_cpu_unquantized_gemm"):
            place.dispatch_cpu_unquantized_gemm = _keep_weight


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
