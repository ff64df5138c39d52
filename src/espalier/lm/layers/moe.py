"""Mixture of experts as in GLM-4.5 and Qwen3, with a record of the chosen experts that can be replayed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espalier.lm.config import DecoderConfig, MoEConfig
from espalier.lm.layers.mlp import MLP, swiglu


class Routing:
    """The experts that each token used in a forward pass, or must use again.

    Replaying the engine's choice in the learner removes a source of mismatch between the two (R3, Ma et al. 2025). Gate
    weights are always computed again, with gradient; only the choice is replayed.
    """

    def __init__(self, replay: Tensor | None = None) -> None:
        self.replay = replay
        self._chosen: list[Tensor] = []

    @property
    def experts(self) -> Tensor:
        """Long [N, sparse layers, num_experts_per_tok], after a forward pass."""
        return torch.stack(self._chosen, dim=1)

    def choice(self) -> Tensor | None:
        """The experts [N, num_experts_per_tok] to use in the next sparse layer; None leaves it to the router."""
        return None if self.replay is None else self.replay[:, len(self._chosen)]

    def record(self, experts: Tensor) -> None:
        """Record the experts [N, num_experts_per_tok] used in the next sparse layer."""
        self._chosen.append(experts)


class Router(nn.Module):
    """Sigmoid gate with a correction bias for load balancing. The bias has no gradient and only affects the choice.

    DeepSeek-V3 (2024), equations 12 to 16, and its choice of groups; always in fp32.
    """

    e_score_correction_bias: Tensor

    def __init__(self, config: MoEConfig, hidden_size: int) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, hidden_size))
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_routed_experts))

    def forward(self, x: Tensor, choice: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x [N, hidden_size] -> weights and experts, both [N, num_experts_per_tok]."""
        with torch.autocast(x.device.type, enabled=False):
            scores = F.linear(x.float(), self.weight.float()).sigmoid()
        experts = self._choose(scores.detach()) if choice is None else choice
        weights = scores.gather(1, experts)
        if self.config.norm_topk_prob:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights * self.config.routed_scaling_factor, experts

    def _choose(self, scores: Tensor) -> Tensor:
        scores = scores + self.e_score_correction_bias
        groups = self.config.n_group
        if groups > 1:
            grouped = scores.view(len(scores), groups, -1)
            best = grouped.topk(2, dim=-1).values.sum(-1).topk(self.config.topk_group, dim=-1).indices
            kept = torch.zeros_like(scores[:, :groups], dtype=torch.bool).scatter_(1, best, True)
            scores = grouped.masked_fill(~kept[..., None], -torch.inf).flatten(1)
        return scores.topk(self.config.num_experts_per_tok, dim=-1, sorted=False).indices


class SoftmaxRouter(nn.Module):
    """Softmax gate over all experts, of which the most probable are used (Shazeer et al. 2017); always in fp32."""

    def __init__(self, config: MoEConfig, hidden_size: int) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, hidden_size))

    def forward(self, x: Tensor, choice: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x [N, hidden_size] -> weights and experts, both [N, num_experts_per_tok]."""
        with torch.autocast(x.device.type, enabled=False):
            scores = F.linear(x.float(), self.weight.float()).softmax(-1)
        experts = scores.detach().topk(self.config.num_experts_per_tok, dim=-1).indices if choice is None else choice
        weights = scores.gather(1, experts)
        if self.config.norm_topk_prob:
            weights = weights / weights.sum(-1, keepdim=True)
        return weights, experts


class Experts(nn.Module):
    """The routed experts' matrices, stacked: gate_up_proj [E, 2I, hidden], down_proj [E, hidden, I]."""

    def __init__(self, config: MoEConfig, hidden_size: int) -> None:
        super().__init__()
        inner = config.moe_intermediate_size
        self.gate_up_proj = nn.Parameter(torch.empty(config.n_routed_experts, 2 * inner, hidden_size))
        self.down_proj = nn.Parameter(torch.empty(config.n_routed_experts, hidden_size, inner))

    def forward(self, x: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        """Weighted sum over each token's experts: x [N, hidden] -> [N, hidden].

        Tokens are sorted by expert, so that each expert is two matrix products.
        """
        top_k = experts.shape[1]
        order = experts.flatten().argsort(stable=True)
        counts = experts.flatten().bincount(minlength=len(self.gate_up_proj)).tolist()
        results = []
        for e, tokens in enumerate(torch.split(x[order // top_k], counts)):
            if len(tokens):
                gate, up = F.linear(tokens, self.gate_up_proj[e]).chunk(2, dim=-1)
                results.append(F.linear(swiglu(gate, up), self.down_proj[e]))
        by_token = torch.cat(results)[order.argsort()].view(len(x), top_k, -1)
        return torch.bmm(weights[:, None].to(by_token.dtype), by_token)[:, 0]


class MoE(nn.Module):
    """Routed experts plus the shared ones, if there are any."""

    def __init__(self, config: DecoderConfig, moe: MoEConfig) -> None:
        super().__init__()
        self.experts = Experts(moe, config.hidden_size)
        self.gate = (SoftmaxRouter if config.traits.gate == "softmax" else Router)(moe, config.hidden_size)
        shared = moe.moe_intermediate_size * moe.n_shared_experts
        self.shared_experts = MLP(config.hidden_size, shared) if shared else None

    def forward(self, x: Tensor, routing: Routing | None = None) -> Tensor:
        """[N, hidden] -> [N, hidden]."""
        weights, experts = self.gate(x, None if routing is None else routing.choice())
        if routing is not None:
            routing.record(experts)
        mixed: Tensor = self.experts(x, weights, experts)
        return mixed if self.shared_experts is None else mixed + self.shared_experts(x)
