"""Qwen2 and Qwen2.5, dense: Llama with biases on queries, keys and values."""

from espalier.lm.families.family import Family

QWEN2 = Family(
    architecture="Qwen2ForCausalLM",
    attention_bias=True,
    output_bias=False,
    absent={"num_key_value_heads": 32},
    harmless=frozenset({"sliding_window", "max_window_layers"}),  # without effect while use_sliding_window is false
)
