import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, packed_logits, random_config, random_decoder, theirs, tokens_of

from espalier.core.errors import ConfigError, DataError
from espalier.lm.checkpoint.files import load_config, load_model, save_model
from espalier.lm.config import LoraConfig
from espalier.lm.lora import inject

LENGTHS = [7, 1, 12, 3]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(5))
def test_logits_of_a_folder_from_transformers(family, seed, tmp_path: Path) -> None:
    """Random weights are spread by us, saved by transformers, loaded here."""
    config = random_config(family, seed)
    peer = theirs(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in peer.state_dict().values():
            tensor.add_(0.2 * torch.randn(tensor.shape, generator=generator))
    peer.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert model.config.model_copy(update={"eos_token_id": None}) == config  # Glm4Config sets its own
    tokens = tokens_of(config, LENGTHS, seed)
    with torch.no_grad():
        ours = packed_logits(model, tokens, LENGTHS).split(LENGTHS)
        for logits, row in zip(ours, tokens.split(LENGTHS), strict=True):
            assert logits.std() > 0.1
            torch.testing.assert_close(logits, peer(row[None]).logits[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [5, 6])
def test_transformers_generates_the_same_from_a_folder_of_ours(family, seed, tmp_path: Path) -> None:
    config = random_config(family, seed)
    model = random_decoder(config, seed)
    save_model(model, tmp_path)
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    prompt = tokens_of(config, [5], seed)
    row = prompt
    with torch.no_grad():
        for _ in range(20):
            row = torch.cat([row, packed_logits(model, row, [len(row)])[-1:].argmax(-1)])
        generated = peer.generate(
            prompt[None], attention_mask=torch.ones_like(prompt)[None], max_new_tokens=20, do_sample=False
        )
    assert generated[0].tolist() == row.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_folder_round_trip_is_exact(family, tmp_path: Path) -> None:
    model = random_decoder(random_config(family, 7))
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    assert again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_converts_weights_but_not_rotary_frequencies(tmp_path: Path) -> None:
    model = random_decoder(random_config("qwen3", 0))
    save_model(model, tmp_path)
    half = load_model(tmp_path, torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert torch.equal(half.frequencies, model.frequencies)
    assert torch.equal(model.to(torch.bfloat16).frequencies, half.frequencies)


@pytest.mark.parametrize("family", ["llama", "glm4_moe"])
def test_reads_shards(family, tmp_path: Path) -> None:
    config = random_config(family, 3)
    peer = theirs(config)
    peer.save_pretrained(tmp_path, max_shard_size="10KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    model, row = load_model(tmp_path), tokens_of(config, [9])
    with torch.no_grad():
        torch.testing.assert_close(packed_logits(model, row, [9]), peer(row[None]).logits[0], atol=1e-4, rtol=0)


def test_reads_stacked_experts(tmp_path: Path) -> None:
    model = random_decoder(random_config("glm4_moe", 1))
    save_model(model, tmp_path)
    save_file({k: v.clone() for k, v in model.state_dict().items()}, tmp_path / "model.safetensors")
    for name, tensor in load_model(tmp_path).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def test_passes_over_tensors_that_are_not_the_models(tmp_path: Path) -> None:
    """GLM-4.5's layer for further tokens, old rotary tables, and a tied head stored all the same."""
    config = random_config("glm4_moe", 0).model_copy(update={"tie_word_embeddings": True})
    model = random_decoder(config)
    save_model(model, tmp_path)
    extra = (
        f"model.layers.{config.num_hidden_layers}.eh_proj.weight",
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "lm_head.weight",
    )
    _damage(tmp_path, lambda tensors: tensors.update({name: torch.ones(2) for name in extra}))
    for name, tensor in load_model(tmp_path).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def _damage(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("llama", "model.layers.0.self_attn.k_proj.weight"),
        ("glm4_moe", "model.layers.2.mlp.experts.3.up_proj.weight"),
    ],
)
def test_names_a_wrong_tensor_and_its_file(family, name, tmp_path: Path) -> None:
    config = random_config(family, 2).model_copy(update={"num_hidden_layers": 3})
    model = random_decoder(config)
    stacked = "mlp.experts.gate_up_proj" if "experts" in name else name

    save_model(model, tmp_path)
    _damage(tmp_path, lambda tensors: tensors.pop(name))
    with pytest.raises(DataError, match=rf"{tmp_path}.*{stacked} is missing"):
        load_model(tmp_path)

    save_model(model, tmp_path)
    _damage(tmp_path, lambda tensors: tensors.update({name: tensors[name][:-1].clone()}))
    with pytest.raises(DataError, match=rf"model\.safetensors: tensor {name} has shape"):
        load_model(tmp_path)

    save_model(model, tmp_path)
    _damage(tmp_path, lambda tensors: tensors.update({name + "_odd": tensors[name].clone()}))
    with pytest.raises(DataError, match=rf"model\.safetensors: tensor {name}_odd does not belong"):
        load_model(tmp_path)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.json"):
        load_model(tmp_path)
    model = random_decoder(random_config("llama", 0))
    save_model(model, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04junk")
    with pytest.raises(DataError, match=r"model\.safetensors: cannot be read"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(DataError, match="neither"):
        load_model(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_decoder(random_config("llama", 0))
    save_model(model, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    def full_disk(tensors, path, metadata) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("espalier.lm.checkpoint.tensors.save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_model(random_decoder(model.config, seed=1), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_refuses_to_save_unmerged_adapters(tmp_path: Path) -> None:
    model = random_decoder(random_config("llama", 0))
    inject(model, LoraConfig())
    with pytest.raises(ConfigError, match="merge"):
        save_model(model, tmp_path)


def test_config_of_an_unknown_model_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    with pytest.raises(ConfigError, match=r"config\.json: model_type 'mamba'"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_hidden_layers", 2**31, r"config\.json: .num_hidden_layers. must be less than or equal to 1024"),
        ("vocab_size", True, r"config\.json: vocab_size: True is not a number"),
        ("num_hidden_layers", 1024, r"tensor model\.layers\..* is missing"),
        ("vocab_size", 2**40, r"model\.safetensors: tensor .* has shape .*, config\.json requires \[1099511627776"),
        ("hidden_size", 2**62, r"config\.json: no model can have this shape"),
    ],
)
def test_sizes_that_the_weights_have_not_are_refused_before_memory_is_taken(
    tmp_path: Path, field: str, value: int, message: str
) -> None:
    save_model(random_decoder(random_config("llama", 0), 0), tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, field: value}))
    with pytest.raises((ConfigError, DataError), match=message):
        load_model(tmp_path)
