"""The engine's two choices of kernel, each against its alternatives."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common import Row, paired
from espalier.engine.api import Sampling
from espalier.engine.batching.noise import stream, uniforms
from espalier.engine.batching.sampler import Sampler
from espalier.engine.forward.decode import DecodeAttention
from espalier.engine.kv.slab import Slab

LAYERS, ROWS, HEADS, KV_HEADS, DIM, MAX_LEN, LENGTH = 4, 192, 4, 2, 32, 192, 64


def parts(*, repeats: int) -> list[Row]:
    """Rows without targets."""
    with torch.inference_mode():
        return [*_attention(repeats), *(_sampling(rows, size, repeats) for rows, size in ((192, 64), (16, 150_000)))]


def _attention(repeats: int) -> list[Row]:
    """Write one token a row, attend to 64, in each of four layers that do not fit the cache together."""
    slab = Slab(
        layers=LAYERS,
        rows=ROWS,
        kv_heads=KV_HEADS,
        max_len=MAX_LEN,
        head_dim=DIM,
        hidden_size=1,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    q, k, v = (torch.randn(ROWS, heads, DIM) for heads in (HEADS, KV_HEADS, KV_HEADS))
    rows, positions = torch.arange(ROWS), torch.full((ROWS,), LENGTH - 1)
    bags, slots = DecodeAttention(slab, HEADS), slab.slots(rows, positions)
    lay = bags.plan(positions, LENGTH - 1)
    keys, values = (torch.zeros(LAYERS, ROWS, KV_HEADS, MAX_LEN, DIM) for _ in range(2))
    mask = torch.zeros(ROWS, 1, 1, LENGTH)

    def ours(layer: int) -> Tensor:
        slab.write(layer, slots, k, v)
        return bags.attend(layer, q, lay)

    def write(layer: int) -> tuple[Tensor, Tensor, Tensor]:
        keys[layer][rows, :, positions], values[layer][rows, :, positions] = k, v
        return q.view(ROWS, KV_HEADS, -1, DIM), keys[layer, :, :, :LENGTH], values[layer, :, :, :LENGTH]

    def sdpa(layer: int) -> Tensor:
        return F.scaled_dot_product_attention(*write(layer), attn_mask=mask)

    def bmm(layer: int) -> Tensor:
        query, key, value = (part.flatten(0, 1) for part in write(layer))
        scores = torch.baddbmm(mask.expand(-1, KV_HEADS, -1, -1).flatten(0, 1), query, key.transpose(1, 2))
        return torch.bmm(scores.softmax(-1), value)

    return [
        paired(
            f"decode attention against {name}",
            _timed(ours),
            _timed(other),
            unit="µs",
            repeats=repeats,
            higher_is_better=False,
        )
        for name, other in (("SDPA", sdpa), ("batched matmul", bmm))
    ]


def _sampling(rows: int, vocabulary: int, repeats: int) -> Row:
    """Inverse CDF against Gumbel-max, which needs a noise of its own for each entry of the vocabulary."""
    logits, sampler = torch.randn(rows, vocabulary) * 3, Sampler(rows)
    index, positions = np.arange(rows), np.arange(rows)
    for row in range(rows):
        sampler.set(row, Sampling(1, seed=row))
    streams = np.array([stream(seed) for seed in range(rows)], dtype=np.uint64)
    keys = streams[:, None] ^ (np.arange(vocabulary, dtype=np.uint64) << np.uint64(20))

    def gumbel(_: int) -> Tensor:
        noise = torch.from_numpy(uniforms(keys, positions[:, None]).astype(np.float32)).clamp_(min=1e-20)
        logprobs = logits.log_softmax(-1)
        return logprobs.gather(1, (logprobs - noise.log_().neg_().log_()).argmax(-1, keepdim=True))

    name = f"sampling {rows} rows of {vocabulary:,} against Gumbel-max"
    ours = _timed(lambda _: sampler.draw(logits, index, positions).logprobs, calls=8)
    return paired(name, ours, _timed(gumbel, calls=8), unit="µs", repeats=repeats, higher_is_better=False)


def _timed(call: Callable[[int], Tensor], calls: int = 80) -> Callable[[], float]:
    """Microseconds a call, taking the layers in turn."""

    def run() -> float:
        begin = time.perf_counter()
        for i in range(calls):
            call(i % LAYERS)
        return (time.perf_counter() - begin) / calls * 1e6

    return run
