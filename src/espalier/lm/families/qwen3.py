"""Qwen3, dense: Llama with a norm over each query and key head."""

from espalier.lm.families.family import Family

QWEN3 = Family(
    architecture="Qwen3ForCausalLM",
    qk_norm=True,
    absent={"head_dim": 128, "num_key_value_heads": 32},
    harmless=frozenset({"sliding_window", "max_window_layers"}),  # without effect while use_sliding_window is false
)
