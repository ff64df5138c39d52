"""Tokenizers of GGUF files against transformers' own classes, and against the patterns of published ones."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
from gguf_files import SPECIAL, vocabulary
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers
from transformers import GPT2Tokenizer, Qwen2Tokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter

from espalier.core.errors import ConfigError, DataError
from espalier.lm.gguf.container import Container
from espalier.lm.gguf.tokenizer import LLAMA3, end_tokens, read_tokenizer
from espalier.lm.tokens import Tokenizer

TOKENS, MERGES = vocabulary()
TEXT = st.text() | st.lists(
    st.sampled_from(
        ["hello", " w", "o", "'ll", "'LL", "12345", "\n", "\r\n", "  ", "\t", "é", "e\u0301", "中文", "!?", " <"]
    )
).map("".join)


def write(path: Path, **changes: object) -> Container:
    values: dict[str, object] = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": TOKENS,
        "token_type": [3 if token in SPECIAL else 1 for token in TOKENS],
        "merges": MERGES,
        "eos_token_id": 2,
        "eot_token_id": 0,
        **changes,
    }
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in values.items():
        key = f"tokenizer.ggml.{name}"
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif value is not None:
            writer.add_string(key, str(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Container(path)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    folder = tmp_path_factory.mktemp("tokenizers")
    kinds = ("gpt-2", "qwen2", "llama-bpe", "smollm", "tekken")
    return {pre: read_tokenizer(write(folder / pre, pre=pre)) for pre in kinds}


IDS = {token: i for i, token in enumerate(TOKENS)}
GPT2 = GPT2Tokenizer(vocab=IDS, merges=[tuple(merge.split(" ")) for merge in MERGES])
QWEN2 = Qwen2Tokenizer(vocab=IDS, merges=[tuple(merge.split(" ")) for merge in MERGES])


@given(text=TEXT)
def test_gpt2_and_qwen2_are_transformers_own(read: dict[str, Tokenizer], text: str) -> None:
    for ours, theirs in ((read["gpt-2"], GPT2), (read["qwen2"], QWEN2)):
        assert (
            ours.encode(text) == theirs.encode(text.replace("<|", "<\ufdd0|"), add_special_tokens=False) or "<|" in text
        )


@given(text=TEXT)
def test_any_text_comes_back(read: dict[str, Tokenizer], text: str) -> None:
    for pre, tokenizer in read.items():
        if pre != "qwen2":  # composes characters
            assert tokenizer.decode(tokenizer.encode(text)) == text


def test_llama_3_splits_as_transformers_converter_says() -> None:
    import inspect

    theirs = inspect.signature(TikTokenConverter.__init__).parameters["pattern"].default
    assert theirs == LLAMA3


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        # "'ll" is a token that the merges do not reach: "ll" is merged first
        ("gpt-2", ["hello", " ", "12", "3", "4", "'", "ll"]),
        ("smollm", ["hello", " ", "1", "2", "3", "4", "'", "ll"]),
        ("qwen2", ["hello", " ", "1", "2", "3", "4", "'", "ll"]),
        ("llama-bpe", ["hello", " ", "12", "3", "4", "'ll"]),
        ("tekken", ["hello", " ", "1", "2", "3", "4", "'ll"]),
    ],
)
def test_words_and_digits_by_hand(read: dict[str, Tokenizer], pre: str, pieces: list[str]) -> None:
    tokenizer = read[pre]
    assert tokenizer.pieces(tokenizer.encode("hello 1234'll")) == pieces


def test_every_pattern_is_one_that_the_library_takes() -> None:
    from espalier.lm.gguf.tokenizer import DIGITS, SPLITS, WHOLE_WORDS

    for pattern in {pattern for pattern in SPLITS.values() if pattern}:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        assert "".join(piece for piece, _ in split.pre_tokenize_str("a B 12, \n x")) == "a B 12, \n x"
    assert SPLITS.keys() >= DIGITS | WHOLE_WORDS


def test_control_tokens_stand_for_themselves_only_in_markup(read: dict[str, Tokenizer]) -> None:
    tokenizer = read["smollm"]
    assert tokenizer.encode_markup("<|im_start|>hello<|im_end|>") == [1, IDS["hello"], 2]
    assert 1 not in tokenizer.encode("<|im_start|>hello")
    assert (tokenizer.eos_id, tokenizer.pad_id) == (2, 2)


def test_a_user_defined_token_is_no_control_token(tmp_path: Path) -> None:
    kinds = [4 if token == "hello" else 3 if token in SPECIAL else 1 for token in TOKENS]
    tokenizer = read_tokenizer(write(tmp_path / "a", token_type=kinds))
    assert "hello" not in tokenizer.control
    assert tokenizer.decode([IDS["hello"], 2], skip_special=True) == "hello"


def test_the_ends_of_a_turn(tmp_path: Path) -> None:
    assert end_tokens(write(tmp_path / "a")) == [2, 0]
    assert end_tokens(write(tmp_path / "a", eot_token_id=2)) == [2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "llama"}, r"tokenizer\.ggml\.model 'llama' is not read"),
        ({"pre": "mystery"}, r"tokenizer\.ggml\.pre 'mystery' is not one of gpt-2"),
        ({"pre": None}, r"have no tokenizer\.ggml\.pre"),
        ({"tokens": None}, r"have no tokenizer\.ggml\.tokens"),
        ({"tokens": [*TOKENS[:-1], TOKENS[5]]}, "occurs twice"),
        ({"merges": ["he llo"]}, r"tokenizer\.ggml\.merges do not fit"),
        ({"merges": ["hello"]}, "a merge is not two texts"),
        ({"token_type": [1, 3]}, r"token_type is not a list of \d+ whole numbers"),
        ({"eos_token_id": None}, r"no tokenizer\.ggml\.eos_token_id"),
        ({"eos_token_id": 10_000}, r"eos_token_id: 10000 is not one of"),
        ({"eos_token_id": "2"}, r"eos_token_id is '2', not a whole number"),
    ],
)
def test_what_is_broken_is_named(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    container = write(tmp_path / "model.gguf", **changes)
    with pytest.raises((ConfigError, DataError), match=rf"model\.gguf: .*{words}"):
        read_tokenizer(container)
