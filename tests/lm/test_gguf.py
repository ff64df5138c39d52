"""Models in GGUF files: SmolLM2 as it is published, and files of every family that llama.cpp's own package writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from gguf_files import TEMPLATE, write_gguf
from tiny_models import FAMILIES, packed_logits, random_config, random_decoder, tokens_of

from espalier.core.errors import ConfigError, DataError
from espalier.core.fetch.catalogue import SMOLLM2
from espalier.lm.build import build
from espalier.lm.checkpoint.pretrained import GgufFile, open_pretrained
from espalier.lm.config import DecoderConfig, LoraConfig, ModelConfig
from espalier.lm.gguf.config import read_config
from espalier.lm.gguf.container import Container
from espalier.lm.gguf.dequantise import dequantise
from espalier.lm.gguf.kinds import KINDS

LENGTHS = [9, 1, 14]
PEERS = {"llama", "mistral", "qwen2", "qwen3", "qwen3_moe"}
"""Families whose GGUF files transformers reads too."""


def shape(family: str, seed: int, **changes: object) -> DecoderConfig:
    """A random shape whose rows divide into blocks of 32, with the vocabulary of the tests' tokenizer."""
    config = random_config(family, seed)  # type: ignore[arg-type]
    sizes = {"vocab_size": 272, "hidden_size": 64, "intermediate_size": 96, "head_dim": 32, "rope_scaling": None}
    plain = {**config.model_dump(), **sizes, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if plain["moe"]:
        plain["moe"] |= {"moe_intermediate_size": 32, **({"norm_topk_prob": True} if family == "qwen3_moe" else {})}
    if family in ("llama", "qwen3", "qwen3_moe"):
        plain["attention_bias"] = False  # transformers passes over their biases
    return DecoderConfig.of(**{**plain, **changes})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_file_of_each_family_comes_back_as_it_was(family: str, seed: int, tmp_path: Path) -> None:
    """transformers reads no GGUF of GLM-4; for these the names of llama.cpp's package are the only peer."""
    changes = {"attention_bias": True} if family in ("llama", "qwen3", "qwen3_moe", "glm4", "glm4_moe") else {}
    model = random_decoder(shape(family, seed, **changes), seed)
    write_gguf(tmp_path / "model.gguf", model)
    ours = GgufFile(tmp_path / "model.gguf")
    expected = model.config.model_copy(update={"family": "llama"} if family == "mistral" else {})
    assert ours.config == expected
    state = ours.decoder(torch.float32).state_dict()
    assert state.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(state[name], tensor), name


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"])
@pytest.mark.parametrize("family", sorted(PEERS))
def test_logits_equal_those_of_transformers(family: str, kind: str, tmp_path: Path) -> None:
    width = 128 if family == "qwen3" else 16  # transformers does not read it in all of these
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": width}
    config = shape(family, 2, **heads)
    if config.moe is not None:
        config = config.model_copy(update={"moe": config.moe.model_copy(update={"moe_intermediate_size": 768})})
    write_gguf(tmp_path / "model.gguf", random_decoder(config, 2), kind)
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
    tokens = tokens_of(config, LENGTHS)
    with torch.no_grad():
        ours = packed_logits(GgufFile(tmp_path / "model.gguf").decoder(torch.float32), tokens, LENGTHS)
        theirs = torch.cat([peer(row[None]).logits[0] for row in tokens.split(LENGTHS)])
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("scaling", [{"rope_type": "linear", "factor": 2.0}, "yarn"])
def test_rotary_scaling(scaling: dict[str, object] | str, tmp_path: Path) -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    model = random_decoder(shape("qwen3", 0, rope_scaling=yarn if scaling == "yarn" else scaling))
    write_gguf(tmp_path / "model.gguf", model)
    assert GgufFile(tmp_path / "model.gguf").config == model.config


def test_llama_31_is_known_by_its_factors(tmp_path: Path) -> None:
    scaling = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    config = shape("llama", 0, rope_theta=5e5, head_dim=64, rope_scaling={"rope_type": "llama3", **scaling})
    model = random_decoder(config)
    plain = random_decoder(config.model_copy(update={"rope_scaling": None}))
    factors = plain.frequencies / model.frequencies
    assert factors.max() == pytest.approx(8.0, rel=1e-4)
    assert factors.min() == 1.0
    write_gguf(tmp_path / "model.gguf", plain, extra={"rope_freqs.weight": factors.numpy()})
    assert GgufFile(tmp_path / "model.gguf").config == config
    write_gguf(tmp_path / "model.gguf", plain, extra={"rope_freqs.weight": factors.sqrt().numpy()})
    with pytest.raises(ConfigError, match=r"model\.gguf: rope_freqs\.weight holds other factors"):
        read_config(Container(tmp_path / "model.gguf"))


# ---- blocks, by hand


def _half(value: float) -> bytes:
    return np.float16(value).tobytes()


@pytest.mark.parametrize(
    ("number", "block", "values"),
    [
        # d (q - 8): low halves of the 16 bytes come first, then the high ones
        (2, _half(0.5) + bytes([0xF0, 0x8F]) + bytes([0x88]) * 14, {0: -4.0, 1: 3.5, 2: 0.0, 16: 3.5, 17: 0.0}),
        # d q + m
        (3, _half(0.25) + _half(-1.0) + bytes([0x4F]) + bytes([0x00]) * 15, {0: 2.75, 1: -1.0, 16: 0.0, 31: -1.0}),
        # d q, signed
        (8, _half(2.0) + bytes([1, 255, 127, 128]) + bytes(28), {0: 2.0, 1: -2.0, 2: 254.0, 3: -256.0, 4: 0.0}),
        (0, np.float32(1.1).tobytes(), {0: float(np.float32(1.1))}),
        (1, _half(-0.75), {0: -0.75}),
        (30, bytes([0xC0, 0x3F]), {0: 1.5}),  # the upper half of 0x3fc00000
    ],
    ids=["Q4_0", "Q4_1", "Q8_0", "F32", "F16", "BF16"],
)
def test_a_block_by_hand(number: int, block: bytes, values: dict[int, float]) -> None:
    kind = KINDS[number]
    assert len(block) == kind.size
    rows = np.frombuffer(block * 3, np.uint8).reshape(1, -1)
    decoded = dequantise(rows, kind)
    assert decoded.shape == (1, 3 * kind.elements)
    for place, value in values.items():
        assert decoded[0, place] == decoded[0, place + kind.elements] == value


def test_many_rows_are_decoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    import gguf

    from espalier.lm.gguf import dequantise as module

    monkeypatch.setattr(module, "CHUNK", 100)
    values = np.random.default_rng(0).normal(size=(7, 96)).astype(np.float32)
    raw = gguf.quantize(values, gguf.GGMLQuantizationType.Q4_1)
    expected = gguf.dequantize(raw, gguf.GGMLQuantizationType.Q4_1)
    assert np.array_equal(dequantise(raw.view(np.uint8).reshape(7, -1), KINDS[3]), expected)


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attention.sliding_window": 4096.0}, r"qwen2\.attention\.sliding_window: 4096\.0 is not known here"),
        ({"rope.scaling.type": "longrope", "rope.scaling.factor": 2.0}, "'longrope' is not implemented"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
    ],
)
def test_what_is_not_implemented_is_refused(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", random_decoder(shape("qwen2", 0)), changes=changes)
    with pytest.raises(ConfigError, match=rf"model\.gguf: .*{words}"):
        GgufFile(tmp_path / "model.gguf").config  # noqa: B018 (reading it is the test)


def test_types_that_are_not_read_are_named(tmp_path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((1, 210), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q6_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(DataError, match=r"blk\.0\.attn_q\.weight has the type Q6_K, .* F32, F16, .*llama-quantize"):
        Container(tmp_path / "model.gguf")


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model = random_decoder(shape("qwen3", 0))
    model.model.layers[0].mlp.gate_proj = torch.nn.Linear(64, 32, bias=False)
    write_gguf(tmp_path / "model.gguf", model)
    with pytest.raises(DataError, match=r"model\.gguf: tensor model\.layers\.0\.mlp\.gate_proj\.weight has shape \[32"):
        GgufFile(tmp_path / "model.gguf").decoder(torch.float32)


# ---- as a model of a recipe


def test_a_file_is_a_model_of_a_recipe_and_saves_as_a_folder(tmp_path: Path) -> None:
    model = random_decoder(shape("llama", 0))
    write_gguf(tmp_path / "model.gguf", model)
    section = ModelConfig(pretrained=str(tmp_path / "model.gguf"), lora=LoraConfig(rank=2))
    language = build(section, seed=0)
    assert language.renderer.stop == (2,)
    assert language.format.renderer == "template"
    assert language.tokenizer.template == TEMPLATE
    language.save(tmp_path / "folder")
    again = build(ModelConfig(pretrained=str(tmp_path / "folder")), seed=1)
    tokens = tokens_of(model.config, [8])
    with torch.no_grad():
        assert torch.equal(packed_logits(again.decoder, tokens, [8]), packed_logits(model, tokens, [8]))
    assert again.renderer.stop == (2,)
    assert again.tokenizer.encode("hello 12'll") == language.tokenizer.encode("hello 12'll")


def test_weights_are_converted(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", random_decoder(shape("qwen3_moe", 0)))
    decoder = open_pretrained(str(tmp_path / "model.gguf")).decoder(torch.bfloat16)
    assert {parameter.dtype for parameter in decoder.parameters()} == {torch.bfloat16}


@pytest.mark.slow
@pytest.mark.pretrained
def test_smollm2_computes_what_transformers_does() -> None:
    """The published file: logits, tokens and the rendered template. Slow: transformers converts it in half a minute."""
    path = SMOLLM2.found()
    language = build(ModelConfig(pretrained=SMOLLM2.name), seed=0)
    peer = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        dtype=torch.float64,
        attn_implementation="eager",
    )
    theirs = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    text = "The capital of France is Paris.\n\n'Twas café, naïve: I'll pay.\t def f(x):\n    return x"
    ids = language.tokenizer.encode(text)
    assert ids == theirs.encode(text, add_special_tokens=False)
    assert language.tokenizer.decode(ids) == text
    digits = language.tokenizer.encode(" 2024")  # transformers' own reading of the file has no rule for digits
    assert language.tokenizer.pieces(digits) == [" ", "2", "0", "2", "4"]
    messages = [{"role": "user", "content": "What is 2 + 3? Reply with only the number."}]
    prompt = theirs.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    row = language.tokenizer.encode_markup(prompt)
    assert (row[0], language.renderer.stop) == (1, (2,))
    lengths = [len(ids), len(row)]
    decoder, tokens = language.decoder, torch.tensor(ids + row)
    with torch.no_grad():
        expected = torch.cat([peer(torch.tensor([each])).logits[0] for each in (ids, row)])
        single = packed_logits(decoder, tokens, lengths)
        double = packed_logits(decoder.double(), tokens, lengths)
        torch.testing.assert_close(double.double(), expected, atol=1e-4, rtol=0)
        # in single precision, transformers is 1e-4 away from its double precision too, more or less by processor
        torch.testing.assert_close(single.double(), expected, atol=3e-4, rtol=0)


@pytest.mark.pretrained
def test_smollm2s_blocks_are_decoded_as_llama_cpps_package_does() -> None:
    import gguf

    ours = Container(SMOLLM2.found())
    for name in ("token_embd.weight", "blk.0.attn_q.weight", "blk.29.ffn_down.weight", "output_norm.weight"):
        info = ours.tensors[name]
        expected = gguf.dequantize(ours.rows(info), gguf.GGMLQuantizationType[info.kind.name])
        assert np.array_equal(dequantise(ours.rows(info), info.kind), expected)
    config = read_config(ours)
    assert (config.family, config.vocab_size, config.num_hidden_layers) == ("llama", 49152, 30)
    assert config.rms_norm_eps == 1e-5
