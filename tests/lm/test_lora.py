import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, packed_logits, random_config, random_decoder, tokens_of

from espalier.core.errors import ConfigError, DataError
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import inject, load_adapters, merge, save_adapters

LENGTHS = [6, 3]


def _trained(model: Decoder, config: LoraConfig | None = None) -> Decoder:
    inject(model, config or LoraConfig(rank=2))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_B"):
                parameter.normal_(std=0.2)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_injection_changes_nothing_and_leaves_only_adapters_to_train(family) -> None:
    config = random_config(family, 1)
    model, tokens = random_decoder(config), tokens_of(config, LENGTHS)
    names = set(model.state_dict())
    before = packed_logits(model, tokens, LENGTHS)
    inject(model, LoraConfig(rank=3))
    after = packed_logits(model, tokens, LENGTHS)
    assert torch.equal(before, after)
    after.sum().backward()
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable == {name for name, p in model.named_parameters() if p.grad is not None}
    assert trainable == set(model.state_dict()) - names
    assert all("lora_" in name for name in trainable)


@pytest.mark.parametrize("family", FAMILIES)
def test_merge_gives_the_adapters_logits(family) -> None:
    """In double precision: a merged product rounds elsewhere than the sum of two."""
    config = random_config(family, 2)
    model, tokens = random_decoder(config).double(), tokens_of(config, LENGTHS)
    plain = packed_logits(model, tokens, LENGTHS)
    names = list(model.state_dict())
    _trained(model).double()
    adapted = packed_logits(model, tokens, LENGTHS)
    assert (adapted - plain).abs().max() > 0.01
    merge(model)
    torch.testing.assert_close(packed_logits(model, tokens, LENGTHS), adapted, atol=1e-6, rtol=1e-6)
    assert list(model.state_dict()) == names
    assert all(p.requires_grad for p in model.parameters())


def test_hand_computed_adapter() -> None:
    """W = 0, A = (1 2), B = 3, alpha / rank = 4: W + 4 B A = (12 24)."""
    config = random_config("llama", 0).model_copy(
        update={"hidden_size": 2, "intermediate_size": 1, "num_hidden_layers": 1}
    )
    model = random_decoder(config)
    inject(model, LoraConfig(rank=1, alpha=4.0, targets=("up_proj",)))
    layer = model.model.layers[0].mlp.up_proj
    with torch.no_grad():
        layer.weight.zero_()
        layer.lora_A.copy_(torch.tensor([[1.0, 2.0]]))
        layer.lora_B.fill_(3.0)
    assert layer(torch.tensor([[1.0, 1.0]])).item() == 36.0
    merge(model)
    assert model.model.layers[0].mlp.up_proj.weight.tolist() == [[12.0, 24.0]]


def test_adapters_round_trip_in_pefts_layout(tmp_path: Path) -> None:
    config = random_config("qwen3", 3)
    tokens = tokens_of(config, LENGTHS)
    model = _trained(random_decoder(config), LoraConfig(rank=2, alpha=6.0, targets=("q_proj", "down_proj")))
    save_adapters(model, tmp_path, base="some/checkpoint")

    said = json.loads((tmp_path / "adapter_config.json").read_text())
    assert said["peft_type"] == "LORA"
    assert (said["r"], said["lora_alpha"], said["target_modules"]) == (2, 6.0, ["down_proj", "q_proj"])
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    prefix = "base_model.model.model.layers.0.self_attn.q_proj."
    assert tensors[prefix + "lora_A.weight"].shape == (2, config.hidden_size)
    assert tensors[prefix + "lora_B.weight"].shape == (config.num_attention_heads * config.head_dim, 2)
    assert len(tensors) == config.num_hidden_layers * 4

    again = random_decoder(config)
    load_adapters(again, tmp_path)
    assert torch.equal(packed_logits(again, tokens, LENGTHS), packed_logits(model, tokens, LENGTHS))


def test_adapters_that_do_not_fit_are_named(tmp_path: Path) -> None:
    config = random_config("qwen3", 3)
    save_adapters(_trained(random_decoder(config)), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(iter(tensors))

    def load() -> None:
        load_adapters(random_decoder(config), tmp_path)

    save_file({k: v for k, v in tensors.items() if k != name}, file)
    with pytest.raises(DataError, match=rf"{name} is missing"):
        load()
    save_file({**tensors, "extra": torch.ones(1)}, file)
    with pytest.raises(DataError, match="extra is not one of this model"):
        load()
    save_file({**tensors, name: torch.ones(1, 1)}, file)
    with pytest.raises(DataError, match=rf"{name} has shape \[1, 1\]"):
        load()
    about = tmp_path / "adapter_config.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "target_modules": ["nobody"]}))
    with pytest.raises(DataError, match=r"adapter_config\.json: lora\.targets nobody: the qwen3 model has no such"):
        load()
    about.write_text('{"peft_type": "IA3"}')
    with pytest.raises(DataError, match="only plain LoRA"):
        load()


def test_adapters_that_do_not_fit_leave_the_model_alone(tmp_path: Path) -> None:
    config = random_config("qwen3", 3)
    save_adapters(_trained(random_decoder(config)), tmp_path)
    save_file({"extra": torch.ones(1)}, tmp_path / "adapter_model.safetensors")
    model = random_decoder(config)
    with pytest.raises(DataError):
        load_adapters(model, tmp_path)
    assert all(p.requires_grad and "lora" not in name for name, p in model.named_parameters())


def test_seed_decides_the_adapters() -> None:
    drawn = []
    for seed in (1, 1, 2):
        model = random_decoder(random_config("llama", 0))
        inject(model, LoraConfig(), seed=seed)
        drawn.append(model.model.layers[0].self_attn.q_proj.lora_A)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert drawn[0].abs().max() <= 1 / math.sqrt(drawn[0].shape[1])


def test_misuse_is_explained(tmp_path: Path) -> None:
    model = random_decoder(random_config("llama", 0))
    with pytest.raises(ConfigError, match="no such layer"):
        inject(model, LoraConfig(targets=("gate_up_proj",)))
    with pytest.raises(ConfigError, match="no LoRA adapters"):
        save_adapters(model, tmp_path)
    inject(model, LoraConfig())
    with pytest.raises(ConfigError, match="already"):
        inject(model, LoraConfig())
