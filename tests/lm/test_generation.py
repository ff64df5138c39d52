"""Stop tokens and the chat format travel with a model's folder, to transformers and back."""

import json
from pathlib import Path

import pytest
import transformers

from espalier.core.errors import DataError
from espalier.core.messages import Message
from espalier.lm.build import LanguageModel, build
from espalier.lm.chat import GLMRenderer, PlainRenderer, TemplateRenderer
from espalier.lm.checkpoint.tokenizer_files import load_tokenizer
from espalier.lm.config import ModelConfig, TokenizerConfig
from espalier.lm.tokens import train_bpe

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|im_end|>", "<|endoftext|>", "<|im_start|>", "<|eom|>")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint as Qwen's are: the template ends a turn with one token, generation_config.json names two more."""
    tokenizer = train_bpe(["what is it?"], 300, special=SPECIAL, markup=())
    tokenizer.template = CHATML
    tokenizer.save(tmp_path / "tokenizer")
    section = ModelConfig(decoder={"num_hidden_layers": 1}, tokenizer={"kind": "file", "path": tmp_path / "tokenizer"})
    build(section, seed=0).save(tmp_path / "model")
    (tmp_path / "model" / "espalier.json").unlink()
    ids = [tokenizer.id(name) for name in ("<|im_end|>", "<|endoftext|>", "<|eom|>")]
    generation = {"eos_token_id": ids, "temperature": 0.6, "top_k": 20, "do_sample": True}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(generation))
    return tmp_path / "model"


def loaded(folder: Path, **section: object) -> LanguageModel:
    return build(ModelConfig(pretrained=str(folder), **section), seed=0)  # type: ignore[arg-type]


def test_all_stop_tokens_are_read(folder: Path) -> None:
    model = loaded(folder)
    assert isinstance(model.renderer, TemplateRenderer)
    assert set(model.renderer.stop) == {model.tokenizer.id(n) for n in ("<|im_end|>", "<|endoftext|>", "<|eom|>")}
    ids = [*model.tokenizer.encode("yes"), model.tokenizer.id("<|eom|>"), *model.tokenizer.encode("no")]
    assert model.renderer.parse(ids) == Message.assistant("yes")


def test_one_id_is_read_and_none_needs_no_file(folder: Path) -> None:
    eom = load_tokenizer(folder).id("<|eom|>")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": eom}))
    assert eom in loaded(folder).renderer.stop
    (folder / "generation_config.json").write_text("{}")
    assert eom not in loaded(folder).renderer.stop
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": [eom]}))
    assert eom in loaded(folder).renderer.stop, "transformers takes those of config.json then"


WRONG = ['"2"', "[1, null]", "-1", "true", "99999", "1.5", '{"a": 1}']


@pytest.mark.parametrize("content", ["", "[1]", *(f'{{"eos_token_id": {value}}}' for value in WRONG)])
def test_a_malformed_file_is_named(folder: Path, content: str) -> None:
    (folder / "generation_config.json").write_text(content)
    with pytest.raises(DataError, match=r"generation_config\.json"):
        loaded(folder)


def test_a_saved_model_keeps_it_and_transformers_reads_it(folder: Path, tmp_path: Path) -> None:
    model = loaded(folder)
    model.save(tmp_path / "again")
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path / "again")
    assert set(theirs.eos_token_id) == set(model.renderer.stop)
    assert (theirs.temperature, theirs.top_k, theirs.do_sample) == (0.6, 20, True)
    assert loaded(tmp_path / "again").renderer.stop == model.renderer.stop


@pytest.mark.parametrize(("renderer", "thinking"), [("glm", True), ("glm", False), ("plain", None)])
def test_a_saved_model_is_spoken_to_as_it_was_trained(tmp_path: Path, renderer, thinking) -> None:
    section = ModelConfig(tokenizer=TokenizerConfig(kind="bpe", vocab_size=300), renderer=renderer, thinking=thinking)
    model = build(section, seed=0, texts=["what is 12*34?"])
    model.save(tmp_path / "model")
    again = loaded(tmp_path / "model")
    assert isinstance(again.renderer, GLMRenderer if renderer == "glm" else PlainRenderer)
    asked = [Message.user("12*34?")]
    assert again.renderer.opening(asked) == model.renderer.opening(asked)
    assert again.renderer.stop == model.renderer.stop
    if renderer == "glm":
        other = loaded(tmp_path / "model", thinking=not thinking)
        assert other.renderer.opening(asked) != model.renderer.opening(asked), "what is asked for goes first"


@pytest.mark.parametrize("content", ["{", "[]", '{"renderer": "chatml"}', '{"thinking": true}'])
def test_a_broken_record_is_named(folder: Path, content: str) -> None:
    (folder / "espalier.json").write_text(content)
    with pytest.raises(DataError, match=r"espalier\.json"):
        loaded(folder)


def test_template_and_special_tokens_survive_both_loaders(tmp_path: Path) -> None:
    backend = train_bpe(["some text"], 300, special=SPECIAL, markup=())
    backend.save(tmp_path / "ours")
    peer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "ours" / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        bos_token="<|im_start|>",
        additional_special_tokens=["<|eom|>"],
        chat_template=CHATML,
    )
    peer.save_pretrained(tmp_path / "theirs")
    load_tokenizer(tmp_path / "theirs").save(tmp_path / "again")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "again")
    assert again.special_tokens_map == peer.special_tokens_map
    assert again.all_special_ids == peer.all_special_ids
    assert again.chat_template == peer.chat_template == load_tokenizer(tmp_path / "again").template
    text = "some<|im_end|> text <|eom|>"
    assert again.encode(text) == peer.encode(text)
    asked = [{"role": "user", "content": "some text"}]
    assert again.apply_chat_template(asked, tokenize=False) == peer.apply_chat_template(asked, tokenize=False)
