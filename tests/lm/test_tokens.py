import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend
from transformers import AutoTokenizer

from espalier.core.errors import ConfigError, DataError
from espalier.lm.checkpoint.tokenizer_files import load_tokenizer
from espalier.lm.detokenizer import Detokenizer
from espalier.lm.tokens import GLM_ROLES, Tokenizer, char_tokenizer, train_bpe, unescape

CHARS = char_tokenizer("0123456789+*=[] \n")
BPE = train_bpe(["hello world, hello tokens 1234 wörld 中文\n"] * 4, 330)
ANY_TEXT = st.text() | st.lists(st.sampled_from([*sorted(BPE.control), "\ufdd0", "a", "<", " "])).map("".join)


def test_each_character_is_one_token_after_the_control_tokens() -> None:
    tokenizer = char_tokenizer(["ba", "ab"])
    assert tokenizer.encode("abba") == [6, 7, 7, 6]
    assert tokenizer.vocab_size == 8
    assert (tokenizer.pad_id, tokenizer.eos_id) == (0, 1)
    assert tokenizer.decode([6, 1, 7]) == "a<|end|>b"
    assert tokenizer.decode([6, 1, 7], skip_special=True) == "ab"
    assert CHARS.decode(CHARS.encode("1 +\n2")) == "1 +\n2"


def test_an_unknown_character_is_named_with_its_position() -> None:
    with pytest.raises(DataError, match="character 'x' at position 2 of '1\\+x'"):
        CHARS.encode("1+x")


def test_an_empty_alphabet_is_an_error() -> None:
    with pytest.raises(ConfigError, match="alphabet"):
        char_tokenizer([])


@pytest.mark.parametrize("tokenizer", [CHARS, BPE])
def test_transformers_loads_what_is_saved_and_encodes_equally(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    ours = load_tokenizer(tmp_path)
    text = "12*34=[408] \n5"
    expected = tokenizer.encode(text)
    assert theirs.encode(text, add_special_tokens=False) == ours.encode(text) == expected
    assert theirs.decode(expected) == ours.decode(expected) == text
    assert (theirs.eos_token_id, theirs.pad_token_id) == (ours.eos_id, ours.pad_id)
    marked = "1<|user|>2<|assistant|>"
    assert theirs.encode(marked, add_special_tokens=False) == ours.encode_markup(marked)
    assert len(theirs) == ours.vocab_size


def test_bpe_splits_digits_singly_and_merges_words() -> None:
    assert BPE.pieces(BPE.encode("hello 1234")) == ["hello", " ", "1", "2", "3", "4"]


def test_bpe_training_does_not_depend_on_the_process() -> None:
    program = (
        "from espalier.lm.tokens import train_bpe;"
        "b = train_bpe(['to be or not to be', 'that is the question'], 300); print(b.encode('to be the question'))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_bpe_needs_room_for_bytes_and_control_tokens() -> None:
    with pytest.raises(ConfigError, match="vocab_size 100"):
        train_bpe(["x"], 100)


@given(ANY_TEXT)
def test_text_round_trips_and_never_becomes_a_control_token(text: str) -> None:
    ids = BPE.encode(text)
    assert BPE.decode(ids) == text
    assert not {BPE.id(name) for name in BPE.control} & set(ids)


@given(ANY_TEXT)
def test_escaped_text_is_literal_inside_markup(text: str) -> None:
    assert unescape(BPE.escape(text)) == text
    markup = f"<|user|>{BPE.escape(text)}<|assistant|>"
    expected = [BPE.id("<|user|>"), *BPE.encode(text), BPE.id("<|assistant|>")]
    assert BPE.encode_markup(markup) == expected
    assert BPE.decode_markup(expected) == markup


def test_control_tokens_that_the_file_does_not_call_special_cannot_be_injected() -> None:
    assert BPE.id("<think>") not in BPE.encode("<think>")
    assert BPE.encode_markup("<think>") == [BPE.id("<think>")]


@given(st.lists(st.integers(0, BPE.vocab_size + 9), max_size=60))
def test_pieces_join_to_the_text_and_hold_whole_characters(ids: list[int]) -> None:
    pieces = BPE.pieces(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == BPE.decode(ids)


@given(st.text(max_size=80))
def test_a_stream_emits_every_character_once_and_never_half_of_one(text: str) -> None:
    text = text.replace("\ufffd", "")
    stream = BPE.stream()
    pieces = [stream.push([token]) for token in BPE.encode(text)]
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) + stream.flush() == text


def test_a_character_of_several_tokens_appears_at_its_last() -> None:
    assert BPE.pieces(BPE.encode("é!")) == ["", "é", "!"]
    cut = BPE.encode("é")[:1]
    assert BPE.pieces(cut) == ["\ufffd"]


def test_a_long_stream_of_a_decoder_with_context_joins_to_the_text() -> None:
    backend = Backend(models.WordLevel({"</s>": 0, "▁to": 1, "▁be": 2}))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    backend.add_special_tokens(["</s>"])
    tokenizer = Tokenizer(backend, {"eos_token": "</s>"})
    assert "".join(tokenizer.pieces([1, 2] * 60)) == " ".join(["to be"] * 60)


def test_skip_special_hides_roles_and_keeps_markup() -> None:
    ids = BPE.encode_markup("<|assistant|><think>hello</think><|user|>")
    assert BPE.decode(ids, skip_special=True) == "<think>hello</think>"


def test_names_of_special_tokens_come_from_the_config(tmp_path: Path) -> None:
    BPE.save(tmp_path)
    config = {"eos_token": {"content": "<|user|>"}, "pad_token": None, "bos_token": "<sop>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json")
    assert tokenizer.eos_id == tokenizer.pad_id == BPE.id("<|user|>")
    assert tokenizer.named_tokens == {"eos_token": "<|user|>", "bos_token": "<sop>"}


def test_a_bare_file_ends_texts_with_a_well_known_name(tmp_path: Path) -> None:
    BPE.save(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    assert load_tokenizer(tmp_path).eos_id == BPE.id(GLM_ROLES[0])
    CHARS.save(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(ConfigError, match="no eos_token"):
        load_tokenizer(tmp_path)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no tokenizer at .*tokenizer\.json"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer\.json: not a tokenizer file"):
        load_tokenizer(tmp_path)
    BPE.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(DataError, match=r"tokenizer_config\.json: this must be a JSON object"):
        load_tokenizer(tmp_path)


def test_the_chat_template_is_read_from_either_place_and_saved(tmp_path: Path) -> None:
    BPE.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.template == "d"
    tokenizer.save(tmp_path / "copy")
    assert (tmp_path / "copy" / "chat_template.jinja").read_text() == "d"
    assert load_tokenizer(tmp_path / "copy").template == "d"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends_of_its_files_change_nothing(tmp_path: Path, encoding: str, end: str) -> None:
    """As transformers reads them, two line ends after a template are two."""
    BPE.save(tmp_path)
    for name, text in (("tokenizer.json", ""), ("chat_template.jinja", "{{ 'é' }}\n\n")):
        file = tmp_path / name
        file.write_bytes((text or file.read_text()).replace("\n", end).encode(encoding))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.template == "{{ 'é' }}\n\n"
    assert tokenizer.encode("a word") == BPE.encode("a word")


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja"])
def test_bytes_that_are_no_text_are_named_with_file_and_line(tmp_path: Path, name: str) -> None:
    BPE.save(tmp_path)
    (tmp_path / name).write_bytes(b"{\n\xff}")
    with pytest.raises(DataError, match=rf"{name}:2: byte 0xff is not UTF-8"):
        load_tokenizer(tmp_path)


def test_an_added_token_that_is_a_word_stays_a_word(tmp_path: Path) -> None:
    BPE.save(tmp_path)
    backend = Backend.from_file(str(tmp_path / "tokenizer.json"))
    backend.add_tokens([AddedToken("/nothink")])
    backend.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_tokenizer(tmp_path)
    assert "/nothink" not in tokenizer.control
    assert tokenizer.encode("/nothink") == [BPE.vocab_size]


def test_truncation_in_a_file_is_switched_off(tmp_path: Path) -> None:
    BPE.save(tmp_path)
    backend = Backend.from_file(str(tmp_path / "tokenizer.json"))
    backend.enable_truncation(2)
    backend.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).encode("hello 1234") == BPE.encode("hello 1234")


@given(st.text(max_size=60))
def test_the_bytes_of_tokens_join_to_those_of_the_text(text: str) -> None:
    ids = BPE.encode(text)
    assert b"".join(BPE.token_bytes(token) for token in ids) == text.encode()
    assert BPE.token_bytes(BPE.vocab_size + 5) == b""


def test_bytes_of_tokens_where_the_decoder_has_context_or_falls_back_to_bytes() -> None:
    vocabulary = {"</s>": 0, "▁to": 1, "be": 2, "<0xE4>": 3, "<0xB8>": 4, "<0xAD>": 5, "\ufffd": 6}
    backend = Backend(models.WordLevel(vocabulary))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(steps)
    tokenizer = Tokenizer(backend, {"eos_token": "</s>"})
    assert [tokenizer.token_bytes(token) for token in range(1, 6)] == [b" to", b"be", b"\xe4", b"\xb8", b"\xad"]
    assert tokenizer.decode([3, 4, 5]) == "中"
    assert tokenizer.token_bytes(6) == "\ufffd".encode()


@given(st.lists(st.sampled_from(BPE.encode("👍中é") + BPE.encode("a ")), min_size=100, max_size=200))
def test_a_stream_of_junk_joins_to_the_text_and_keeps_few_tokens(ids: list[int]) -> None:
    longest = 0

    def decode(window: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(window))
        return BPE.decode(window)

    stream = Detokenizer(decode)
    assert "".join(stream.push([token]) for token in ids) + stream.flush() == BPE.decode(ids)
    assert longest <= 40
