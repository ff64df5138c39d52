"""Qwen3, mixtures of experts: every MLP has routed experts behind a softmax gate, and no shared one."""

from espalier.lm.families.family import Family

QWEN3_MOE = Family(
    architecture="Qwen3MoeForCausalLM",
    qk_norm=True,
    gate="softmax",
    absent={"num_key_value_heads": 4, "norm_topk_prob": False},
    expert_names={"n_routed_experts": ("num_experts", "num_local_experts")},
    expert_limits={
        "n_shared_experts": 0,
        "first_k_dense_replace": 0,
        "n_group": 1,
        "topk_group": 1,
        "routed_scaling_factor": 1.0,
    },
    reads=frozenset(
        {"num_experts", "num_local_experts", "num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob"}
    ),
    harmless=frozenset(
        # the windows are without effect while use_sliding_window is false
        {"sliding_window", "max_window_layers", "output_router_logits", "router_aux_loss_coef"}
    ),
    neutral={"decoder_sparse_step": (1,), "mlp_only_layers": ()},
)
