"""One decoder for the families of `espalier.lm.families`, with Hugging Face's parameter names.

Everything is flat: N tokens with their positions, no batch axis and no padding. The attention plan decides which tokens
attend to which, so packed training and a cached engine run the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from espalier.lm.attention import Attention
from espalier.lm.config import DecoderConfig
from espalier.lm.layers.linear import Linear
from espalier.lm.layers.mlp import MLP, FusedMLP
from espalier.lm.layers.moe import MoE, Routing
from espalier.lm.layers.norm import RMSNorm
from espalier.lm.layers.rotary import Rotation, inverse_frequencies


class SelfAttention(nn.Module):
    """Projections, head norms and rotation; the attention plan computes the attention itself."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim = layer, config.head_dim
        hidden, bias = config.hidden_size, config.attention_bias
        queries, keys = (heads * config.head_dim for heads in (config.num_attention_heads, config.num_key_value_heads))
        self.q_proj = Linear(hidden, queries, bias=bias)
        self.k_proj = Linear(hidden, keys, bias=bias)
        self.v_proj = Linear(hidden, keys, bias=bias)
        self.o_proj = Linear(queries, hidden, bias=config.output_bias)
        self.q_norm = RMSNorm(config.head_dim, config.rms_norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(config.head_dim, config.rms_norm_eps) if config.qk_norm else None

    def forward(self, x: Tensor, rotate: Rotation, attend: Attention) -> Tensor:
        """[N, hidden] -> [N, hidden]."""
        q, k, v = (project(x).unflatten(-1, (-1, self.head_dim)) for project in (self.q_proj, self.k_proj, self.v_proj))
        attended = attend(self.layer, rotate(q, self.q_norm), rotate(k, self.k_norm), v)
        out: Tensor = self.o_proj(attended.flatten(1))
        return out


class Layer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); GLM-4 norms the two summands as well."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        hidden, eps, family = config.hidden_size, config.rms_norm_eps, config.traits
        self.self_attn = SelfAttention(config, layer)
        self.mlp: nn.Module
        if config.moe is not None and config.sparse(layer):
            self.mlp = MoE(config, config.moe)
        else:
            self.mlp = (FusedMLP if family.fused_mlp else MLP)(hidden, config.intermediate_size)
        self.input_layernorm = RMSNorm(hidden, eps)
        self.post_attention_layernorm = RMSNorm(hidden, eps)
        self.post_self_attn_layernorm = RMSNorm(hidden, eps) if family.post_norms else nn.Identity()
        self.post_mlp_layernorm = RMSNorm(hidden, eps) if family.post_norms else nn.Identity()

    def forward(self, x: Tensor, rotate: Rotation, attend: Attention, routing: Routing | None) -> Tensor:
        """[N, hidden] -> [N, hidden]."""
        x = x + self.post_self_attn_layernorm(self.self_attn(self.input_layernorm(x), rotate, attend))
        normed = self.post_attention_layernorm(x)
        y = self.mlp(normed, routing) if isinstance(self.mlp, MoE) else self.mlp(normed)
        out: Tensor = x + self.post_mlp_layernorm(y)
        return out


class Stack(nn.Module):
    """The part that checkpoints call `model`: embedding, layers and the final norm."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        empty = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding.from_pretrained(empty, freeze=False)  # without torch's own initialisation
        self.layers = nn.ModuleList(Layer(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Decoder(nn.Module):
    """A decoder-only language model, uninitialised until `reset` or `espalier.lm.checkpoint.files.load_model`."""

    frequencies: Tensor

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False
        """Whether each layer is computed again in the backward pass, and only its input is kept until then."""
        self.register_buffer("frequencies", inverse_frequencies(config), persistent=False)
        with torch.device("meta"):  # spares torch's own initialisation, and the global generator
            self.model = Stack(config)
            if not config.tie_word_embeddings:
                self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.to_empty(device=torch.get_default_device())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Rotary frequencies stay fp32 whatever type the weights are converted to."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.frequencies = inverse_frequencies(self.config).to(self.frequencies.device)
        return self

    @property
    def head_weight(self) -> Tensor:
        """[vocab, hidden] the output head: the embedding where they are tied."""
        head = self.model.embed_tokens if self.config.tie_word_embeddings else self.lm_head
        return head.weight

    def forward(
        self, tokens: Tensor, positions: Tensor, attend: Attention, *, routing: Routing | None = None
    ) -> Tensor:
        """Hidden states [N, hidden] after the final norm, of tokens and positions Long [N].

        `routing` records the experts that the tokens go to, or replays recorded ones.
        """
        x = self.model.embed_tokens(tokens)
        interleaved, magnitude = self.config.traits.interleaved, self.config.magnitude
        rotate = Rotation(positions, self.frequencies, x.dtype, interleaved=interleaved, magnitude=magnitude)
        again = self.recompute and torch.is_grad_enabled()
        for layer in self.model.layers:
            args = (x, rotate, attend, routing)
            x = checkpoint(layer, *args, use_reentrant=False) if again else layer(*args)
        out: Tensor = self.model.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """fp32 logits [M, vocab] of hidden states [M, hidden]."""
        return F.linear(hidden, self.head_weight).float()

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Initialise in place, the same on every machine: normal(0, 0.02), and smaller for weights that write to the
        residual stream.

        The latter is divided by sqrt(2 layers), as in GPT-2 (Radford et al. 2019, section 2.3).
        """
        generator = torch.Generator().manual_seed(seed)
        residual = (2 * self.config.num_hidden_layers) ** -0.5
        for name, parameter in self.named_parameters():
            if name.endswith("norm.weight"):
                parameter.fill_(1.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                std = 0.02 * (residual if "o_proj" in name or "down_proj" in name else 1.0)
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
        for name, buffer in self.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.zero_()
