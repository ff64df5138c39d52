"""Memory of the engine's rows, free memory, and how many rows of which length fit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from espalier.core.errors import ConfigError
from espalier.engine.config import MAX_ROWS
from espalier.engine.kv.slab import CHUNK
from espalier.lm.config import DecoderConfig

GIB = 2**30
COMFORTABLE = 4096
"""A row should have this many positions before the number of rows is increased."""

LEAST = 256
"""A server does not start with fewer positions unless asked to."""

SHARE = 0.5
"""Share of the free memory that rows use if their number is not given."""

_INDEX = 8
_CGROUPS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""Files of a container's limit and use, of versions 2 and 1, and how much of it is only cached files."""


class Sizes(NamedTuple):
    """Rows of an engine and their length; see `EngineConfig`."""

    max_rows: int
    max_len: int
    retain_rows: int


def position_bytes(shape: DecoderConfig, dtype: torch.dtype) -> int:
    """Bytes of one position of one row: keys, values and hidden state, index tables, and buffers."""
    numbers = 2 * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim
    hidden = torch.float32.itemsize * shape.hidden_size
    tables = _INDEX * shape.num_attention_heads * (1 + -(-shape.head_dim // CHUNK))
    return numbers * dtype.itemsize + hidden + tables + 2 * _INDEX


def weight_bytes(shape: DecoderConfig, parameters: int, dtype: torch.dtype) -> int:
    """Bytes of `parameters` weights during loading (through fp32), or of the engine's packed copy."""
    packed = shape.moe is None and not shape.output_bias
    return parameters * max(torch.float32.itemsize, dtype.itemsize * (1 + packed))


def fit(
    shape: DecoderConfig,
    dtype: torch.dtype,
    free: int,
    *,
    max_rows: int | None = None,
    max_len: int | None = None,
    retain_rows: int | None = None,
) -> Sizes:
    """Sizes that fit into `free` bytes; given sizes are kept.

    A row is as long as the model's context, or as memory allows. There are as many rows as fit, up to `MAX_ROWS`, but
    not so many that they are shorter than `COMFORTABLE`. Raises ConfigError that names the setting to lower.
    """
    longest = shape.max_position_embeddings
    if max_len is not None and max_len > longest:
        raise ConfigError(f"max_len={max_len}: the model has {longest} positions (max_position_embeddings): lower it")
    room = int(SHARE * free) // position_bytes(shape, dtype)
    goal = _padded(max_len or min(longest, COMFORTABLE))
    retained = 0 if retain_rows is None else retain_rows
    shared = 5 / 4 if retain_rows is None else 1  # a retained row for every four
    rows = max_rows or max(1, min(MAX_ROWS, int((room // goal - retained) / shared)))
    kept = rows // 4 if retain_rows is None else retain_rows
    length = max_len or min(longest, room // (rows + kept) // CHUNK * CHUNK)
    if max_len is None and length < min(longest, LEAST):
        length = min(longest, LEAST)
    require(shape, dtype, Sizes(rows, length, kept), free)
    return Sizes(rows, length, kept)


def describe(shape: DecoderConfig, dtype: torch.dtype, sizes: Sizes) -> str:
    """A description of an engine's rows, context and memory."""
    context = f"{sizes.max_len} of the model's {shape.max_position_embeddings} positions"
    need = cache_bytes(shape, dtype, sizes) / GIB
    return f"{sizes.max_rows} rows and {sizes.retain_rows} retained, {context}, {need:.2f} GiB"


def cache_bytes(shape: DecoderConfig, dtype: torch.dtype, sizes: Sizes) -> int:
    """Bytes of the rows of an engine."""
    return (sizes.max_rows + sizes.retain_rows) * _padded(sizes.max_len) * position_bytes(shape, dtype)


def _padded(length: int) -> int:
    return -(-length // CHUNK) * CHUNK


def require(shape: DecoderConfig, dtype: torch.dtype, sizes: Sizes, free: int) -> None:
    """Raise ConfigError if rows of these `sizes` do not fit into `free` bytes."""
    need = cache_bytes(shape, dtype, sizes)
    if need > free:
        raise ConfigError(
            f"{sizes.max_rows} rows and {sizes.retain_rows} retained ones of {sizes.max_len} positions need "
            f"{need / GIB:,.2f} GiB, {max(free, 0) / GIB:,.2f} GiB are free for them: lower max_rows, retain_rows or "
            f"max_len; {position_bytes(shape, dtype):,} bytes a position"
        )


def free_bytes(device: torch.device) -> int:
    """Memory that is available on `device` now: of the GPU; or of the machine, the container and the process."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    return min(_limits())


def _limits() -> Iterator[int]:
    """Bytes that each of the limits in force leaves; a system that does not say how much is free sets none."""
    machine = _fields(Path("/proc/meminfo"))
    yield (machine["MemAvailable"] + machine.get("SwapFree", 0)) * 1024 if "MemAvailable" in machine else 2**62
    for names in _CGROUPS:
        most, used, parts = (Path("/sys/fs/cgroup") / name for name in names)
        limit, current = _number(most), _number(used)
        if limit is not None and current is not None:
            yield limit - current + _fields(parts).get("inactive_file", 0)
    if sys.platform != "win32":
        import resource

        address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
        own = _fields(Path("/proc/self/status"))
        if address_space != resource.RLIM_INFINITY and "VmSize" in own:
            yield address_space - own["VmSize"] * 1024


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a file of lines that begin with a name and a number; none where there is no such file."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0].rstrip(":"): int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
