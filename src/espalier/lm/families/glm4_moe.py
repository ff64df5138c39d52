"""GLM-4.5 and 4.6: mixtures of experts with a sigmoid gate. The multi-token prediction layer (MTP) is left out."""

from espalier.lm.families.family import Family

GLM4_MOE = Family(
    architecture="Glm4MoeForCausalLM",
    rotary_share=0.5,
    output_bias=False,
    qk_norm=None,
    gate="sigmoid",
    absent={"num_key_value_heads": 8},
    reads=frozenset(
        {
            *("use_qk_norm", "n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts"),
            *("first_k_dense_replace", "n_group", "topk_group", "norm_topk_prob", "routed_scaling_factor"),
        }
    ),
    harmless=frozenset(
        {"num_nextn_predict_layers", "num_mtp_layers", "output_router_logits", "router_aux_loss_coef"},
    ),
    neutral={"scoring_func": ("sigmoid",), "topk_method": ("noaux_tc",), "moe_layer_freq": (1,)},
)
