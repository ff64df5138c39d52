"""GGUF files: container, weights, tokenizer."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from mutators import BINARY, cut, named
from oracle import Change, Reader

from espalier.lm.checkpoint.pretrained import GgufFile
from espalier.lm.gguf.container import Container
from espalier.lm.gguf.tokenizer import read_tokenizer

LAYERS = {
    "attn_norm": (16,),
    "attn_q": (16, 16),
    "attn_k": (8, 16),
    "attn_v": (8, 16),
    "attn_output": (16, 16),
    "ffn_norm": (16,),
    "ffn_gate": (32, 16),
    "ffn_up": (32, 16),
    "ffn_down": (16, 32),
}
TOKENS = ["<|end|>", "a", "b", "ab", "Ġ", "c"]


@cache
def _content(folder: Path) -> bytes:
    random, file = np.random.default_rng(0), folder / "model.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(1)
    writer.add_context_length(32)
    writer.add_embedding_length(16)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    shapes = {"token_embd": (6, 16), "output_norm": (16,), **{f"blk.0.{name}": s for name, s in LAYERS.items()}}
    for name, shape in shapes.items():
        kind = gguf.GGMLQuantizationType.Q8_0 if name.endswith("ffn_down") else gguf.GGMLQuantizationType.F32
        data = gguf.quantize(random.normal(size=shape).astype(np.float32), kind)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file.read_bytes()


def _made(folder: Path) -> Path:
    _content(folder)
    return folder / "model.gguf"


def _table(file: Path) -> Any:
    found = Container(file)
    metadata = {
        key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in found.metadata.items()
    }
    return [metadata, {name: [list(info.shape), info.kind.name, info.start] for name, info in found.tensors.items()}]


def _weights(file: Path) -> Any:
    return dict(GgufFile(file).decoder(torch.float32).state_dict())


def _tokens(file: Path) -> Any:
    tokenizer = read_tokenizer(Container(file))
    return [tokenizer.encode(text) for text in ("ab", "cab", "a")]


def _over(name: str, key: bytes, values: tuple[bytes, ...]) -> Change:
    """Other bytes after the first place of `key`."""

    def change(content: bytes, rng: Any) -> tuple[bytes, int | None]:
        end = content.index(key) + len(key)
        value = rng.choice(values)
        return content[:end] + value + content[end + len(value) :], None

    return named(name, change)


HUGE = (b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\0\0\0\0\0\x01\0\0", b"\0\0\0\x80\0\0\0\0")
COUNTS = _over("counts", b"GGUF\x03\0\0\0", HUGE)
VERSION = _over("version", b"GGUF", (b"\x01\0\0\0", b"\0\0\0\x03", b"\x09\0\0\0"))
TYPE = _over("type of metadata", b"llama.block_count", (b"\xff\0\0\0", b"\x0d\0\0\0", b"\x08\0\0\0", b"\x09\0\0\0"))
ARRAY = _over("length of an array", b"tokenizer.ggml.tokens\x09\0\0\0\x08\0\0\0", HUGE)
DIMENSION = _over("dimensions of a tensor", b"output_norm.weight", (b"\0\0\0\0", b"\x05\0\0\0", b"\xff\xff\xff\xff"))
SIZE = _over("size of a tensor", b"output_norm.weight\x01\0\0\0", (b"\0" * 8, *HUGE))
OFFSET = _over(
    "offset of a tensor", b"output_norm.weight\x01\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0", (b"\x01" + b"\0" * 7, *HUGE)
)
DAMAGE = (cut, COUNTS, VERSION, TYPE, ARRAY, DIMENSION, SIZE, OFFSET)

READERS = [
    Reader("lm/gguf table", _made, _table, None, (), DAMAGE, BINARY),
    Reader("lm/gguf weights", _made, _weights, None, (), DAMAGE, BINARY),
    Reader("lm/gguf tokenizer", _made, _tokens, None, (), DAMAGE, BINARY),
]
