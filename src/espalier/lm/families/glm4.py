"""GLM-4 (0414): norms before and after, half of each head rotated in neighbouring pairs."""

from espalier.lm.families.family import Family

GLM4 = Family(
    architecture="Glm4ForCausalLM",
    rotary_share=0.5,
    interleaved=True,
    post_norms=True,
    fused_mlp=True,
    output_bias=False,
    absent={"head_dim": 128, "num_key_value_heads": 2, "attention_bias": True},
)
