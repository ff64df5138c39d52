"""Tokenizers and chat templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import reference as plainly
from mutators import NEUTRAL_TEXT, OTHER_TEXT, bad_byte, cut, value_of
from oracle import Reader

from espalier.core.errors import DataError
from espalier.lm.chat.choice import ChatFormat
from espalier.lm.checkpoint.tokenizer_files import load_tokenizer
from espalier.lm.tokens import Tokenizer, char_tokenizer
from espalier.serving.gateway.tokens import TokenEstimate


def _tokens(name: str) -> Any:
    def make(folder: Path) -> Path:
        char_tokenizer("abcdefgh 123").save(folder)
        (folder / "chat_template.jinja").write_text(
            "{% for message in messages %}{{ message.content }}\né{% endfor %}\n"
        )
        (folder / "special_tokens_map.json").write_text('{"bos_token": {"content": "a", "lstrip": false}}\n')
        return folder / name

    return make


def _tokenized(file: Path) -> Any:
    found = load_tokenizer(file.parent)
    return [_encoded(found), found.vocab_size, found.config, found.template]


def _encoded(tokenizer: Tokenizer) -> Any:
    """A tokenizer that was read may lack the letters."""
    try:
        return tokenizer.encode("abba 12")
    except DataError as error:
        return str(error)


def _template_reference(file: Path) -> Any:
    tokenizer = char_tokenizer("abcdefgh 123")
    config = {"bos_token": {"content": "a", "lstrip": False}, **tokenizer.config}
    return [tokenizer.encode("abba 12"), tokenizer.vocab_size, config, plainly.text(file)]


def _gateway(file: Path) -> Any:
    return TokenEstimate(tokenizer=file).of({"prompt": "abba 12"})


def _format(folder: Path) -> Path:
    ChatFormat(renderer="glm", thinking=True).save(folder)
    return folder / "espalier.json"


def _format_reference(file: Path) -> Any:
    found = {"thinking": False, **plainly.value(plainly.text(file))}
    known = set(found) == {"renderer", "thinking"} and found["renderer"] in ("plain", "glm", "template")
    if not known or not isinstance(found["thinking"], bool):
        raise ValueError(found)
    return found


READERS = [
    Reader("lm/tokenizer.json", _tokens("tokenizer.json"), _tokenized, None, NEUTRAL_TEXT, (bad_byte, cut), OTHER_TEXT),
    Reader(
        "lm/tokenizer_config.json",
        _tokens("tokenizer_config.json"),
        _tokenized,
        None,
        NEUTRAL_TEXT,
        (bad_byte,),
        OTHER_TEXT,
    ),
    Reader(
        "lm/special_tokens_map.json",
        _tokens("special_tokens_map.json"),
        _tokenized,
        None,
        NEUTRAL_TEXT,
        (bad_byte,),
        OTHER_TEXT,
    ),
    Reader(
        "lm/espalier.json",
        _format,
        lambda file: ChatFormat.of_folder(file.parent, char_tokenizer("ab")).model_dump(),
        _format_reference,
        NEUTRAL_TEXT,
        (bad_byte, value_of(b"renderer", (b'"x"', b"null", b"1", b"[]")), value_of(b"thinking", (b'"x"', b"{}"))),
        OTHER_TEXT,
    ),
    Reader(
        "lm/chat_template.jinja",
        _tokens("chat_template.jinja"),
        _tokenized,
        _template_reference,
        NEUTRAL_TEXT[:5],
        (bad_byte,),
        OTHER_TEXT,
    ),
    Reader(
        "serving/tokenizer.json", _tokens("tokenizer.json"), _gateway, None, NEUTRAL_TEXT, (bad_byte, cut), OTHER_TEXT
    ),
]
