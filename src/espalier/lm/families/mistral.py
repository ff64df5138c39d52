"""Mistral without sliding windows: Llama under another name (Mistral 7B from v0.2 on, Mistral Nemo)."""

from espalier.lm.families.family import Family

MISTRAL = Family(
    architecture="MistralForCausalLM",
    attention_bias=False,
    output_bias=False,
    absent={"num_key_value_heads": 8, "bos_token_id": 1, "eos_token_id": 2, "sliding_window": 4096},
    writes={"sliding_window": None},
)
