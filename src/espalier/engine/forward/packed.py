"""The decoder's forward pass as one call of a C kernel, with packed weights (`kernels/decoder.c`).

Weights are packed once per version. The results of a token do not depend on its batch, bit for bit. It supports the
dense families on CPU, with fp32 or bf16 weights; sums, norms and softmax are fp32.
"""

from __future__ import annotations

import ctypes
from typing import Any, Literal

import torch
from torch import Tensor, nn

from espalier.core.kernels import count, pointer
from espalier.engine.forward.plan import BatchAttention
from espalier.engine.kv.slab import Slab
from espalier.engine.native import library
from espalier.lm.decoder import Decoder
from espalier.lm.layers.rotary import Rotation
from espalier.lm.lora import LoraLinear

Precision = Literal["fp32", "bf16"]

SMALL = 1 << 21
"""Number of multiplications of a pass below which a second thread does not pay off."""

FP32, WIDENED, HALF = range(3)
_K = 32


class _Matrix(ctypes.Structure):
    _fields_ = (("n", ctypes.c_int64), ("k", ctypes.c_int64), ("panels", ctypes.c_void_p), ("bias", ctypes.c_void_p))


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, _Matrix) for name in ("qkv", "o", "gate_up", "down")),
        *((name, ctypes.c_void_p) for name in ("input_norm", "middle_norm", "attention_norm", "mlp_norm", "qk_norm")),
        *((name, ctypes.c_void_p) for name in ("keys", "values")),
    )


class _Model(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("layers", "hidden", "heads", "kv_heads", "dim", "rotary", "chunks")),
        *((name, ctypes.c_int64) for name in ("mode", "kv_half")),
        *((name, ctypes.c_float) for name in ("eps", "scale")),
        *((name, ctypes.c_void_p) for name in ("cos", "sin", "final_norm", "embedding")),
        ("head", _Matrix),
        ("layer", ctypes.POINTER(_Layer)),
    )


def packable(decoder: Decoder) -> bool:
    """Whether `PackedRunner` supports this decoder: a dense family on CPU, no output bias, and a C compiler is
    available.
    """
    on_cpu = all(parameter.device.type == "cpu" for parameter in decoder.parameters())
    dtypes = {parameter.dtype for parameter in decoder.parameters()} <= {torch.float32, torch.bfloat16}
    plain = decoder.config.moe is None and not decoder.config.output_bias
    return on_cpu and dtypes and plain and library() is not None


class PackedRunner:
    """Runs a dense decoder from packed weights (a copy: the engine samples from the version it loaded)."""

    def __init__(self, decoder: Decoder, slab: Slab, precision: Precision) -> None:
        kernels = library()
        assert kernels is not None
        self.decoder, self.slab, self._c = decoder, slab, kernels
        self._panel = int(kernels.panel_width())
        half = HALF if precision == "bf16" and kernels.has_half() else WIDENED
        self._mode = half if precision == "bf16" else FP32
        self._weights = sum(parameter.numel() for parameter in decoder.parameters())
        self._packed: dict[str, Tensor] = {}
        self._scratch = torch.empty(0)
        config = decoder.config
        self._layers = (_Layer * config.num_hidden_layers)()
        table = Rotation(
            torch.arange(slab.max_len),
            decoder.frequencies.cpu(),
            torch.float32,
            interleaved=False,
            magnitude=config.magnitude,
        )
        half_width = config.rotary_dim // 2
        self._cos = table.cos[:, 0, :half_width].contiguous()
        self._sin = table.sin[:, 0, half_width:].contiguous()
        self._model = _Model(
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            dim=config.head_dim,
            rotary=config.rotary_dim,
            chunks=slab.chunks,
            mode=self._mode,
            kv_half=slab.dtype == torch.bfloat16,
            eps=config.rms_norm_eps,
            scale=config.head_dim**-0.5,
            cos=self._cos.data_ptr(),
            sin=self._sin.data_ptr(),
            layer=self._layers,
        )
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """See `Runner`."""
        decoder, model = self.decoder, self._model
        self._model.final_norm = self._keep("norm", decoder.model.norm.weight)
        self._model.head = self._pack("head", [decoder.head_weight])
        if not decoder.config.tie_word_embeddings:
            dtype = torch.float32 if self._mode == FP32 else torch.bfloat16
            model.embedding = self._keep("embedding", decoder.model.embed_tokens.weight, dtype)
        for index, layer in enumerate(decoder.model.layers):
            self._pack_layer(index, layer)

    def discard(self) -> bool:
        """See `Runner`."""
        self._packed.clear()
        return True

    def forward(self, tokens: Tensor, positions: Tensor, attend: BatchAttention) -> Tensor:
        """See `Runner`."""
        m = len(tokens)
        out = torch.empty(m, self._model.hidden)
        rows, scratch = attend.batch.rows, self._room(m)
        self._c.forward(
            self._threads(m),
            ctypes.byref(self._model),
            count(m),
            *map(pointer, (tokens, rows, positions, scratch, out)),
        )
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Runner`."""
        m, hidden = len(hidden), hidden.float().contiguous()
        out = torch.empty(m, self._model.head.n)
        self._c.project(
            self._threads(m), ctypes.byref(self._model), count(m), *map(pointer, (hidden, self._room(m), out))
        )
        return out

    def _threads(self, m: int) -> int:
        return 1 if m * self._weights < SMALL else torch.get_num_threads()

    def _room(self, m: int) -> Tensor:
        need = int(self._c.scratch_floats(ctypes.byref(self._model), count(m), torch.get_num_threads()))
        if len(self._scratch) < need:
            self._scratch = torch.empty(need)
        return self._scratch

    def _pack_layer(self, index: int, layer: Any) -> None:
        attention, mlp, to, name = layer.self_attn, layer.mlp, self._layers[index], f"{index}."
        config = self.decoder.config
        order = self._order()
        heads = [config.num_attention_heads, config.num_key_value_heads]
        projections = [attention.q_proj, attention.k_proj, attention.v_proj]
        parts = [_weight(projection) for projection in projections]
        biases = [projection.bias for projection in projections if projection.bias is not None]
        if config.traits.interleaved:
            parts[:2] = [_reorder(part, order) for part in parts[:2]]
            biases[:2] = [_reorder(bias, order) for bias in biases[:2]]
        to.qkv = self._pack(name + "qkv", parts, bias=torch.cat(biases) if biases else None)
        to.o = self._pack(name + "o", [_weight(attention.o_proj)])
        if config.traits.fused_mlp:
            gate, up = _weight(mlp.gate_up_proj).chunk(2)
        else:
            gate, up = _weight(mlp.gate_proj), _weight(mlp.up_proj)
        to.gate_up = self._pack(name + "gate_up", [gate, up], paired=True)
        to.down = self._pack(name + "down", [_weight(mlp.down_proj)])
        to.input_norm = self._keep(name + "input_norm", layer.input_layernorm.weight)
        to.middle_norm = self._keep(name + "middle_norm", layer.post_attention_layernorm.weight)
        if config.traits.post_norms:
            to.attention_norm = self._keep(name + "attention_norm", layer.post_self_attn_layernorm.weight)
            to.mlp_norm = self._keep(name + "mlp_norm", layer.post_mlp_layernorm.weight)
        if attention.q_norm is not None:
            norms = zip((attention.q_norm.weight, attention.k_norm.weight), heads, strict=True)
            rows = torch.cat([norm.expand(many, -1) for norm, many in norms])
            to.qk_norm = self._keep(name + "qk_norm", rows[:, order] if config.traits.interleaved else rows)
        slab = self.slab
        to.keys, to.values = slab.key_tables[index].data_ptr(), slab.value_tables[index].data_ptr()

    def _order(self) -> Tensor:
        """The dimensions of a head with each rotary pair half the rotary width apart, from pairs of neighbours."""
        order, rotary = torch.arange(self.decoder.config.head_dim), self.decoder.config.rotary_dim
        order[:rotary] = order[:rotary].view(-1, 2).t().flatten()
        return order

    def _keep(self, name: str, value: Tensor, dtype: torch.dtype = torch.float32) -> int:
        """A copy of `value` at a place that stays; its address."""
        if name not in self._packed:
            self._packed[name] = torch.empty(value.shape, dtype=dtype)
        return self._packed[name].copy_(value).data_ptr()

    def _pack(self, name: str, parts: list[Tensor], *, paired: bool = False, bias: Tensor | None = None) -> _Matrix:
        """Matrices [n, k] below each other as one; `paired`: panels hold the same columns of two matrices."""
        depth = parts[0].shape[1]
        padded = depth if self._mode == FP32 else -(-depth // _K) * _K
        width = self._panel // 2 if paired else self._panel
        columns = parts[0].shape[0] if paired else sum(part.shape[0] for part in parts)
        if name not in self._packed:
            dtype = torch.float32 if self._mode == FP32 else torch.bfloat16
            self._packed[name] = torch.zeros(-(-columns // width), padded, self._panel, dtype=dtype)
        start = offset = 0
        for part in parts:
            weight = part.detach().contiguous()
            sizes = (*weight.shape, padded, start, width, offset)
            self._c.pack(
                torch.get_num_threads(),
                self._mode != FP32,
                weight.dtype == torch.bfloat16,
                *map(count, sizes),
                *map(pointer, (weight, self._packed[name])),
            )
            start, offset = (0, width) if paired else (start + len(weight), 0)
        kept = None if bias is None else self._keep(name + ".bias", bias)
        return _Matrix(n=columns, k=depth, panels=self._packed[name].data_ptr(), bias=kept)


def _weight(linear: nn.Module) -> Tensor:
    """The weight of a projection, its adapter merged in."""
    if not isinstance(linear, LoraLinear):
        weight = linear.weight
        assert isinstance(weight, Tensor)
        return weight
    return linear.weight + (linear.lora_B @ linear.lora_A * (linear.alpha / linear.rank)).to(linear.weight.dtype)


def _reorder(rows: Tensor, order: Tensor) -> Tensor:
    """The output rows of q or k heads by `order` within each head."""
    return rows.unflatten(0, (-1, len(order)))[:, order].flatten(0, 1)
