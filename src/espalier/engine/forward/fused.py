"""The decoder's forward pass with fewer and larger operations, for decoding tiny models on CPU.

These matrices are derived once per set of weights: q, k and v in one matrix, gate and up in one; the norm weights
before them and the attention scale are multiplied in; rotary pairs are adjacent, so that a rotation is one complex
product. It agrees with `Decoder` up to rounding and supports the dense families in fp32; everything else runs on
`Decoder` itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.engine.forward.plan import BatchAttention
from espalier.lm.decoder import Decoder
from espalier.lm.lora import LoraLinear


@dataclass(slots=True)
class _Layer:
    """Derived weights. Matrices are [out, in], except `o` and `down`, which are transposed views for `addmm_`."""

    qkv: Tensor
    qkv_bias: Tensor | None
    qk_norm: Tensor | None
    o: Tensor
    after_attention: Tensor | None
    gate_up: Tensor
    down: Tensor
    after_mlp: Tensor | None


def fusible(decoder: Decoder) -> bool:
    """Whether `FusedRunner` supports this decoder: a dense family, fp32 on CPU, no output bias."""
    fp32 = all(p.dtype == torch.float32 and p.device.type == "cpu" for p in decoder.parameters())
    return fp32 and decoder.config.moe is None and not decoder.config.output_bias


class FusedRunner:
    """Runs a dense decoder from derived weights (a copy: the engine samples from the version it loaded)."""

    def __init__(self, decoder: Decoder, max_len: int) -> None:
        self.decoder = decoder
        config = decoder.config
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        self.rotary = config.rotary_dim
        angle = torch.outer(torch.arange(max_len, dtype=torch.float32), decoder.frequencies)
        self.epsilon = torch.tensor(config.rms_norm_eps)
        self.rotation = torch.polar(torch.full_like(angle, config.magnitude), angle)[:, None]
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """See `Runner`."""
        named = _weights(self.decoder)
        self.embedding = named["model.embed_tokens.weight"].clone()
        final = named["model.norm.weight"]
        head = named.get("lm_head.weight", named["model.embed_tokens.weight"])
        self.final, self.head = final.clone(), head.clone()
        self.layers = [self._derive(named, i) for i in range(self.decoder.config.num_hidden_layers)]

    def discard(self) -> bool:
        """See `Runner`."""
        self.layers.clear()
        self.embedding = self.final = self.head = torch.empty(0)
        return True

    def forward(self, tokens: Tensor, positions: Tensor, attend: BatchAttention) -> Tensor:
        """See `Runner`."""
        count, queries = len(tokens), self.heads + self.kv_heads
        rotation = self.rotation[positions]
        x = F.embedding(tokens, self.embedding)
        for i, layer in enumerate(self.layers):
            qkv = F.linear(self._norm(x), layer.qkv, layer.qkv_bias).view(count, -1, self.head_dim)
            qk = qkv[:, :queries]
            if layer.qk_norm is not None:
                qk.mul_(self._inverse_rms(qk)).mul_(layer.qk_norm)
            torch.view_as_complex(qk[..., : self.rotary].view(count, queries, -1, 2)).mul_(rotation)
            attended = attend.attend(i, qkv[:, : self.heads], qkv[:, self.heads : queries], qkv[:, queries:])
            attended = attended.view(count, -1)
            x = self._add(x, attended, layer.o, layer.after_attention)
            gate_up = F.linear(self._norm(x), layer.gate_up)
            gate, up = gate_up.chunk(2, dim=-1)
            x = self._add(x, F.silu(gate, inplace=True).mul_(up), layer.down, layer.after_mlp)
        return self._norm(x).mul_(self.final)

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Runner`."""
        return F.linear(hidden, self.head)

    def _norm(self, x: Tensor) -> Tensor:
        return x * self._inverse_rms(x)

    def _inverse_rms(self, x: Tensor) -> Tensor:
        """1 / sqrt(mean of squares + eps) over the last axis, kept; half the time of composing it from `square`."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return torch.addcmul(self.epsilon, norm, norm, value=1 / x.shape[-1]).rsqrt_()

    def _add(self, x: Tensor, y: Tensor, weight: Tensor, norm: Tensor | None) -> Tensor:
        """x + y @ weight, in place; GLM-4 norms the product first."""
        if norm is None:
            return x.addmm_(y, weight)
        return x.add_(self._norm(y @ weight).mul_(norm))

    def _derive(self, named: dict[str, Tensor], index: int) -> _Layer:
        prefix = f"model.layers.{index}."
        attention, mlp = prefix + "self_attn.", prefix + "mlp."
        scale = self.head_dim**-0.5
        parts = [named[f"{attention}{part}_proj.weight"] for part in "qkv"]
        biases = [named[f"{attention}{part}_proj.bias"] for part in "qkv" if f"{attention}{part}_proj.bias" in named]
        qkv = self._pair(torch.cat(parts) * named[prefix + "input_layernorm.weight"])
        bias = self._pair(torch.cat(biases)[:, None])[:, 0] if biases else None
        qk_norm = None
        if attention + "q_norm.weight" in named:
            q, k = named[attention + "q_norm.weight"] * scale, named[attention + "k_norm.weight"]
            qk_norm = torch.cat([q.expand(self.heads, -1), k.expand(self.kv_heads, -1)])[:, self._order()]
        else:
            qkv[: self.heads * self.head_dim] *= scale
            if bias is not None:
                bias[: self.heads * self.head_dim] *= scale
        if mlp + "gate_up_proj.weight" in named:
            gate_up = named[mlp + "gate_up_proj.weight"]
        else:
            gate_up = torch.cat([named[mlp + "gate_proj.weight"], named[mlp + "up_proj.weight"]])
        glm = self.decoder.config.traits.post_norms
        return _Layer(
            qkv=qkv,
            qkv_bias=bias,
            qk_norm=qk_norm,
            o=named[attention + "o_proj.weight"].clone().t(),
            after_attention=named[prefix + "post_self_attn_layernorm.weight"].clone() if glm else None,
            gate_up=gate_up * named[prefix + "post_attention_layernorm.weight"],
            down=named[mlp + "down_proj.weight"].clone().t(),
            after_mlp=named[prefix + "post_mlp_layernorm.weight"].clone() if glm else None,
        )

    def _order(self) -> Tensor:
        """The head dimensions with rotary pairs side by side. GLM-4 checkpoints have them so already."""
        order = torch.arange(self.head_dim)
        if not self.decoder.config.traits.interleaved:
            order[: self.rotary] = order[: self.rotary].view(2, -1).t().flatten()
        return order

    def _pair(self, rows: Tensor) -> Tensor:
        """Reorder the output rows [(heads + 2 kv_heads) * head_dim, in] of the q and k heads by `_order`."""
        heads = rows.view(-1, self.head_dim, rows.shape[-1])
        queries = self.heads + self.kv_heads
        return torch.cat([heads[:queries][:, self._order()], heads[queries:]]).reshape(rows.shape)


def _weights(decoder: Decoder) -> dict[str, Tensor]:
    """Parameters by Hugging Face name, adapters merged in."""
    named = {name: parameter.detach() for name, parameter in decoder.named_parameters()}
    for name, module in decoder.named_modules():
        if isinstance(module, LoraLinear):
            named[f"{name}.weight"] = module.weight + module.lora_B @ module.lora_A * (module.alpha / module.rank)
    return named
