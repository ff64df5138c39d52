"""Everything in a config.json is classified: it computes what transformers does, or it is refused."""

import copy
import json
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny_models import packed_logits, random_config, random_decoder, tokens_of

from espalier.core.errors import ConfigError, DataError
from espalier.lm.checkpoint.files import load_config, load_model, save_model
from espalier.lm.checkpoint.hf_config import from_hf, to_hf
from espalier.lm.config import LoraConfig
from espalier.lm.families import FAMILIES
from espalier.lm.lora import inject, load_adapters, save_adapters

PEERS = {
    "llama": transformers.LlamaConfig,
    "mistral": transformers.MistralConfig,
    "qwen2": transformers.Qwen2Config,
    "qwen3": transformers.Qwen3Config,
    "qwen3_moe": transformers.Qwen3MoeConfig,
    "glm4": transformers.Glm4Config,
    "glm4_moe": transformers.Glm4MoeConfig,
}


def test_every_family_has_a_peer() -> None:
    assert PEERS.keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", PEERS)
def test_every_field_of_transformers_is_classified(family) -> None:
    """A field that a later transformers adds fails here first, and must be thought about."""
    content = {name: value for name, value in PEERS[family]().to_dict().items() if value is not None}
    if family == "mistral":
        assert FAMILIES[family].objection("sliding_window", content.pop("sliding_window"))
        content["sliding_window"] = None
    assert [
        name for name, value in content.items() if value is not None and FAMILIES[family].objection(name, value)
    ] == []
    assert from_hf({"head_dim": 128, **content}).family == family  # GLM-4.5's own default is odd, and in no checkpoint


@pytest.mark.parametrize("family", PEERS)
def test_fields_left_out_are_what_transformers_takes(family) -> None:
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    least = {name: getattr(PEERS[family](), name) for name in (*names, "max_position_embeddings", "rms_norm_eps")}
    least["num_attention_heads"] = 32
    counts = {"glm4_moe": "n_routed_experts", "qwen3_moe": "num_experts"}
    experts = (counts[family], "num_experts_per_tok", "moe_intermediate_size") if family in counts else ()
    least |= {name: getattr(PEERS[family](), name) for name in experts}
    if family == "mistral":
        least["sliding_window"] = None  # 4096 if left out
    ours, peer = from_hf({"model_type": family, **least}), PEERS[family](**least)
    assert ours.num_key_value_heads == peer.num_key_value_heads
    assert ours.head_dim == getattr(peer, "head_dim", peer.hidden_size // peer.num_attention_heads)
    assert ours.attention_bias == getattr(peer, "attention_bias", family == "qwen2")
    assert ours.tie_word_embeddings == peer.tie_word_embeddings
    assert ours.rope_theta == peer.rope_parameters["rope_theta"]
    assert ours.partial_rotary_factor == peer.rope_parameters.get("partial_rotary_factor", 1.0)
    if ours.moe is not None:
        named = {"n_routed_experts": "num_experts"} if family == "qwen3_moe" else {}
        own = ours.moe.model_dump(exclude=set(FAMILIES[family].expert_limits))
        assert all(getattr(peer, named.get(name, name)) == value for name, value in own.items())


ODD = {
    "layer_types": [["full_attention"] * 3, ["full_attention", "sliding_attention", "full_attention"], ["chunked"]],
    "use_sliding_window": [True, False],
    "sliding_window": [2, 4096, None],
    "max_window_layers": [0, 1, 28],
    "hidden_act": ["silu", "gelu", "relu", "gelu_pytorch_tanh"],
    "attention_bias": [True, False, None],
    "mlp_bias": [True, False],
    "attention_dropout": [0.0, 0.1],
    "rms_norm_eps": [1e-6, 0.1],
    "tie_word_embeddings": [True, False],
    "partial_rotary_factor": [0.5, 0.25, 1.0],
    "rope_theta": [100.0, 1e6, 7],
    "rope_scaling": [
        None,
        {"type": "linear", "factor": 4.0},
        {"rope_type": "dynamic", "factor": 2.0},
        {"rope_type": "longrope", "factor": 2.0},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8},
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
        {"rope_type": "default", "factor": 8.0},
        {"full_attention": {"rope_theta": 3.0}},
    ],
    "rope_parameters": [
        {"rope_theta": 50.0},
        {"rope_theta": 50.0, "rope_type": "linear", "factor": 2.0},
        {"rope_theta": 50.0, "rope_type": "default", "partial_rotary_factor": 0.25},
    ],
    "num_key_value_heads": [1, 2, 4, None],
    "head_dim": [8, 16, None],
    "use_qk_norm": [True, False],
    "norm_topk_prob": [True, False],
    "routed_scaling_factor": [1.0, 3.0],
    "n_group": [1, 2],
    "topk_group": [1, 2],
    "first_k_dense_replace": [0, 1, 2],
    "n_shared_experts": [1, 2],
    "scoring_func": ["sigmoid", "softmax"],
    "topk_method": ["noaux_tc", "greedy"],
    "num_experts": [4, 8],
    "decoder_sparse_step": [1, 2],
    "mlp_only_layers": [[], [0], [1, 2]],
    "use_cache": [True, False],
    "initializer_range": [0.5],
    "pretraining_tp": [2],
    "output_hidden_states": [True],
    "logits_scaling": [8.0],
    "final_logit_softcapping": [30.0],
    "quantization_config": [{"bits": 4}],
}
CHANGES = st.sampled_from(sorted(ODD)).flatmap(lambda name: st.sampled_from(ODD[name]).map(lambda value: (name, value)))


@pytest.mark.parametrize("family", PEERS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(CHANGES, min_size=1, max_size=3), left_out=st.sets(st.sampled_from(sorted(ODD)), max_size=2))
def test_a_changed_config_computes_what_transformers_does_or_is_refused(
    family, changes, left_out, tmp_path_factory
) -> None:
    base = {**to_hf(random_config(family, 4)), "num_attention_heads": 4, "num_hidden_layers": 3}
    if changes[0][0] in ("rope_theta", "rope_scaling", "partial_rotary_factor", "rope_parameters"):
        base = {name: value for name, value in base.items() if not name.startswith(("rope", "partial"))}
    content = {name: value for name, value in base.items() if name not in left_out} | dict(changes)
    plain = {name: value for name, value in content.items() if name != "quantization_config"}
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            peer = transformers.AutoConfig.for_model(**copy.deepcopy(plain))
            model = transformers.AutoModelForCausalLM.from_config(peer)
            row = torch.arange(7)
            with torch.no_grad():
                for tensor in model.state_dict().values():
                    tensor.add_(0.2 * torch.randn(tensor.shape))
                expected = model.eval()(row[None]).logits[0]
    except Exception:
        assume(False)  # transformers cannot run it either
    folder = tmp_path_factory.mktemp("changed")
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(content))
    try:
        ours = load_model(folder)
    except (ConfigError, DataError):
        return
    with torch.no_grad():
        torch.testing.assert_close(packed_logits(ours, row, [7]), expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("family", "field", "value", "words"),
    [
        ("qwen3", "layer_types", ["full_attention", "sliding_attention"], "sliding_attention"),
        ("llama", "layer_types", ["sliding_attention"], "sliding_attention"),
        ("qwen3", "attention_dropout", 0.1, "0.1"),
        ("glm4", "residual_multiplier", 0.22, r"0\.22 is not known here"),
        ("glm4_moe", "scoring_func", "softmax", "softmax"),
        ("llama", "partial_rotary_factor", 0.5, "partial_rotary_factor"),
        ("llama", "rope_scaling", {"rope_type": "llama3", "factor": 8.0}, "low_freq_factor"),
        ("llama", "rope_scaling", "dynamic", "dynamic"),
        ("qwen2", "use_sliding_window", True, "True is not implemented"),
        ("mistral", "sliding_window", 4096, "4096 is not implemented"),
        ("qwen3_moe", "mlp_only_layers", [1], "only an empty list"),
        ("qwen3_moe", "decoder_sparse_step", 2, "decoder_sparse_step"),
        ("qwen3_moe", "num_local_experts", 4, "num_experts and num_local_experts contradict each other"),
        ("qwen3", "architectures", ["Qwen3ForSequenceClassification"], "Qwen3ForSequenceClassification"),
    ],
)
def test_a_refusal_names_file_field_and_value(family, field, value, words, tmp_path: Path) -> None:
    content = {name: v for name, v in to_hf(random_config(family, 0)).items() if not name.startswith("rope")}
    (tmp_path / "config.json").write_text(json.dumps({**content, field: value}))
    with pytest.raises(ConfigError, match=rf"config\.json: .*{words}") as caught:
        load_config(tmp_path)
    assert field in str(caught.value)


def test_two_places_that_disagree_are_refused() -> None:
    content = to_hf(random_config("llama", 0))
    with pytest.raises(ConfigError, match=r"rope_parameters says rope_theta=.*another place of the file 123"):
        from_hf({**content, "rope_theta": 123.0})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"use_rslora": True}, "use_rslora: True"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias: 'all'"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"target_modules": "all-linear"}, "all-linear"),
        ({"a_later_idea": 3}, "a_later_idea: 3"),
    ],
)
def test_adapters_that_compute_something_else_are_refused(change, words, tmp_path: Path) -> None:
    model = random_decoder(random_config("llama", 0))
    adapted = random_decoder(model.config)
    inject(adapted, LoraConfig(rank=2))
    save_adapters(adapted, tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(DataError, match=rf"adapter_config\.json: .*{words}"):
        load_adapters(model, tmp_path)


def test_neutral_fields_of_peft_are_accepted(tmp_path: Path) -> None:
    """What PEFT writes for an ordinary adapter."""
    model = random_decoder(random_config("llama", 0))
    adapted = random_decoder(model.config)
    inject(adapted, LoraConfig(rank=2))
    save_adapters(adapted, tmp_path)
    file = tmp_path / "adapter_config.json"
    usual = {
        "use_rslora": False,
        "use_dora": False,
        "rank_pattern": {},
        "init_lora_weights": True,
        "inference_mode": True,
        "modules_to_save": None,
        "lora_bias": False,
        "qalora_group_size": 16,
        "lora_dropout": 0.05,
    }
    file.write_text(json.dumps({**json.loads(file.read_text()), **usual}))
    load_adapters(model, tmp_path)
    tokens = tokens_of(model.config, [5])
    with torch.no_grad():
        assert torch.equal(packed_logits(model, tokens, [5]), packed_logits(adapted, tokens, [5]))


def test_save_and_load_agree_without_any_allowance(tmp_path: Path) -> None:
    for family in PEERS:
        model = random_decoder(random_config(family, 3))
        save_model(model, tmp_path / family)
        assert load_config(tmp_path / family) == model.config
