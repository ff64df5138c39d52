import subprocess
import sys

import pytest
import torch
import transformers
from tiny_models import FAMILIES, LLAMA3, random_config

from espalier.core.errors import ConfigError
from espalier.lm.checkpoint.hf_config import from_hf, to_hf
from espalier.lm.config import ModelConfig
from espalier.lm.layers.rotary import Rotation, inverse_frequencies

GLM45 = {  # the fields of zai-org/GLM-4.5-Air's config.json, as transformers 4 wrote them, smaller
    "architectures": ["Glm4MoeForCausalLM"],
    "attention_bias": True,
    "eos_token_id": [5, 6, 7],
    "pad_token_id": 5,
    "first_k_dense_replace": 1,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 32,
    "partial_rotary_factor": 0.5,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "model_type": "glm4_moe",
    "moe_intermediate_size": 8,
    "n_group": 1,
    "topk_group": 1,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_nextn_predict_layers": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "routed_scaling_factor": 1.0,
    "tie_word_embeddings": False,
    "use_qk_norm": False,
    "vocab_size": 99,
}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(4))
def test_round_trip(family, seed) -> None:
    config = random_config(family, seed)
    assert from_hf(to_hf(config)) == config


def test_reads_transformers_4() -> None:
    config = from_hf(GLM45)
    assert config.moe is not None
    assert (config.rotary_dim, config.rope_theta, config.moe.n_routed_experts) == (8, 1e6, 8)
    assert config.eos_token_id == (5, 6, 7)
    assert [config.sparse(layer) for layer in range(2)] == [False, True]
    scaled = from_hf({**LLAMA, "rope_theta": 5e5, "rope_scaling": LLAMA3})
    assert scaled.rope_scaling is not None
    assert (scaled.rope_theta, scaled.rope_scaling.factor, scaled.num_key_value_heads) == (5e5, 8.0, 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2'"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"use_sliding_window": True}, "sliding"),
        ({"rope_scaling": {"type": "longrope", "factor": 2.0}}, "longrope"),
        ({"rope_scaling": {"type": "yarn"}}, "factor"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"rms_norm_eps": None}, "rms_norm_eps"),
        ({"num_key_value_heads": 3}, "num_key_value_heads=3"),
        ({"head_dim": 7}, "head_dim=7"),
    ],
)
def test_refuses_what_the_decoder_cannot_do(change, words) -> None:
    with pytest.raises(ConfigError, match=words):
        from_hf({**LLAMA, **change})


@pytest.mark.parametrize("family", FAMILIES)
def test_frequencies_are_those_of_transformers(family) -> None:
    for seed in range(5):
        config = random_config(family, seed)
        hf = transformers.AutoConfig.for_model(**to_hf(config))
        peer = transformers.AutoModelForCausalLM.from_config(hf).model.rotary_emb
        torch.testing.assert_close(inverse_frequencies(config), peer.inv_freq, rtol=1e-6, atol=0)
        assert config.magnitude == pytest.approx(peer.attention_scaling)


@pytest.mark.parametrize(
    "changes",
    [
        {"factor": 0.5},
        {"attention_factor": 1.3},
        {"beta_fast": 16.0, "beta_slow": 2.0},
        {"mscale": 0.7, "mscale_all_dim": 1.4},
        {"mscale": 0.7},
        {"truncate": False},
        {"original_max_position_embeddings": 4096},
    ],
)
def test_yarn_is_that_of_transformers(changes) -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, **changes}
    config = from_hf({**LLAMA, "head_dim": 64, "rope_parameters": {"rope_theta": 1e4, **yarn}})
    hf = transformers.AutoConfig.for_model(**to_hf(config))
    peer = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(hf)
    torch.testing.assert_close(inverse_frequencies(config), peer.inv_freq, rtol=1e-6, atol=0)
    assert config.magnitude == pytest.approx(peer.attention_scaling)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotation_is_a_rotation(interleaved) -> None:
    """It keeps lengths, leaves what is not rotated, and a product depends on the distance alone."""
    q, k = torch.randn(1, 1, 6).expand(8, 1, 6), torch.randn(1, 1, 6).expand(8, 1, 6)
    rotate = Rotation(torch.arange(8), torch.tensor([1.0, 0.1]), torch.float32, interleaved=interleaved)
    turned_q, turned_k = rotate(q), rotate(k)
    torch.testing.assert_close(turned_q.norm(dim=-1), q.norm(dim=-1))
    assert torch.equal(turned_q[..., 4:], q[..., 4:])
    products = turned_q[:, 0] @ turned_k[:, 0].T
    torch.testing.assert_close(products.diagonal(2), products[0, 2].expand(6), atol=1e-4, rtol=1e-4)
    partner = 1 if interleaved else 2
    angle = torch.atan2(turned_q[1, 0, partner], turned_q[1, 0, 0]) - torch.atan2(q[1, 0, partner], q[1, 0, 0])
    assert angle.remainder(2 * torch.pi).item() == pytest.approx(1.0, abs=1e-4)


def test_model_section_catches_mistakes() -> None:
    with pytest.raises(ValueError, match="did you mean hidden_size"):
        ModelConfig(decoder={"hiden_size": 4})
    with pytest.raises(ValueError, match=r"tokenizer\.path"):
        ModelConfig(tokenizer={"kind": "file"})
    with pytest.raises(ValueError, match="bpe"):
        ModelConfig(renderer="glm")
    with pytest.raises(ValueError, match="chat template"):
        ModelConfig(renderer="template")


def test_imports_without_torch() -> None:
    code = "import sys, espalier.lm.config, espalier.lm.presets; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
