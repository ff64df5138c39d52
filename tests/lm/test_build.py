from pathlib import Path
from typing import get_args

import pytest
import torch
import transformers
from tiny_models import packed_logits

from espalier.core.errors import ConfigError, DataError
from espalier.core.messages import Message
from espalier.lm.build import build
from espalier.lm.chat.plain import PlainRenderer
from espalier.lm.checkpoint.files import load_config
from espalier.lm.config import LoraConfig, ModelConfig, TokenizerConfig
from espalier.lm.presets import PRESETS, decoder_config

TEXTS = ["12*34=408", "what is 7+5?"]


def test_every_preset_has_a_name_in_the_config() -> None:
    assert set(get_args(ModelConfig.model_fields["preset"].annotation)) == set(PRESETS)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_builds_presets(preset, tmp_path: Path) -> None:
    model = build(ModelConfig(preset=preset), seed=1, texts=TEXTS)
    ids = model.renderer.opening([Message.user("12*34=")])
    assert model.decoder.config.vocab_size == model.tokenizer.vocab_size
    assert packed_logits(model.decoder, torch.tensor(ids), [len(ids)]).shape == (len(ids), model.tokenizer.vocab_size)


def test_seed_decides_the_weights() -> None:
    first, same, other = (build(ModelConfig(), seed=seed, texts=TEXTS).decoder.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_a_saved_model_is_built_again_and_loads_in_transformers(tmp_path: Path) -> None:
    model = build(ModelConfig(decoder={"num_hidden_layers": 1}), seed=1, texts=TEXTS)
    model.save(tmp_path / "model")
    again = build(ModelConfig(pretrained=str(tmp_path / "model"), renderer="plain"), seed=2)
    ids = model.renderer.opening([Message.user("7+5")])
    assert again.renderer.opening([Message.user("7+5")]) == ids
    row = torch.tensor(ids)
    logits = packed_logits(model.decoder, row, [len(ids)])
    assert torch.equal(packed_logits(again.decoder, row, [len(ids)]), logits)
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(peer(row[None]).logits[0], logits, atol=1e-4, rtol=0)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "model").decode(ids[:3]) == "7+5"


def test_eos_tokens_are_the_renderers_stops(tmp_path: Path) -> None:
    section = ModelConfig(tokenizer=TokenizerConfig(kind="bpe", vocab_size=300), renderer="glm")
    model = build(section, seed=0, texts=TEXTS)
    model.save(tmp_path)
    assert load_config(tmp_path).eos_token_id == model.renderer.stop
    assert model.tokenizer.decode(model.tokenizer.encode("7+5é")) == "7+5é"


def test_bpe_with_the_plain_renderer() -> None:
    section = ModelConfig(tokenizer=TokenizerConfig(kind="bpe", vocab_size=300), renderer="plain")
    model = build(section, seed=0, texts=TEXTS)
    assert model.tokenizer.eos_id == model.renderer.stop[0]


def test_adapters_and_types() -> None:
    model = build(ModelConfig(lora=LoraConfig(rank=2), dtype="bfloat16"), seed=0, texts=TEXTS)
    assert all(("lora_" in name) == p.requires_grad for name, p in model.decoder.named_parameters())
    assert {p.dtype for name, p in model.decoder.named_parameters() if "lora_" not in name} == {torch.bfloat16}
    assert {p.dtype for p in model.decoder.parameters() if p.requires_grad} == {torch.float32}


def test_a_model_smaller_than_its_tokenizer_is_refused(tmp_path: Path) -> None:
    build(ModelConfig(), seed=0, texts=["ab"]).save(tmp_path)
    build(ModelConfig(), seed=0, texts=["abé"]).tokenizer.save(tmp_path)
    with pytest.raises(DataError, match="tokenizer has"):
        build(ModelConfig(pretrained=str(tmp_path), renderer="plain"), seed=0)


def test_a_shape_that_cannot_be_is_explained() -> None:
    with pytest.raises(ConfigError, match="num_key_value_heads"):
        decoder_config(ModelConfig(decoder={"num_key_value_heads": 3}), vocab_size=9)
    with pytest.raises(ConfigError, match="num_hidden_layers"):
        decoder_config(ModelConfig(decoder={"num_hidden_layers": 0}), vocab_size=9)


def test_a_model_from_scratch_is_read_back_in_its_own_format(tmp_path: Path) -> None:
    language = build(ModelConfig(), seed=0, texts=["ab"])
    language.save(tmp_path)
    again = build(ModelConfig(pretrained=str(tmp_path)), seed=0)
    assert isinstance(again.renderer, PlainRenderer)
    assert again.renderer.stop == language.renderer.stop
