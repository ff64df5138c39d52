"""Llama 2 and 3, and other models of this type (SmolLM2, TinyLlama)."""

from espalier.lm.families.family import Family

LLAMA = Family(
    architecture="LlamaForCausalLM",
    harmless=frozenset({"pretraining_tp", "is_llama_config"}),
)
