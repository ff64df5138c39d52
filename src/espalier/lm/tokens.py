"""Tokenizers: characters for tiny models, byte-level BPE, and any Hugging Face `tokenizer.json`.

Invariant: `encode` never returns a control token, whatever the text is; only `encode_markup` and `id` do. Text from
outside therefore cannot impersonate another role.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from espalier.core.errors import ConfigError, DataError
from espalier.core.io.files import write_atomic, write_json
from espalier.lm.detokenizer import REPLACEMENT, Detokenizer, raw_bytes

PLAIN_CONTROL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|tool|>", "</think>")
"""Control tokens of `PlainRenderer`."""

GLM_ROLES = ("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
"""Control tokens of `GLMRenderer` that never appear in visible text."""

GLM_MARKUP = (
    *("<think>", "</think>", "<tool_call>", "</tool_call>"),
    *("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "<tool_response>", "</tool_response>"),
)
"""Control tokens of `GLMRenderer` inside a turn; decoding shows them even with `skip_special`."""

_GUARD = "\ufdd0"
"""A Unicode noncharacter: single, it breaks up a control token's name; doubled, it stands for itself."""

SHORT, REMEMBERED = 64, 4096
"""Characters of a text whose ids are remembered, and the number of such texts."""

_WORDS = r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What BPE merges within: words and punctuation with their leading space, white space, and every single digit."""


class Tokenizer:
    """A `tokenizers.Tokenizer` with its end and padding tokens.

    `config` is the content of tokenizer_config.json (`eos_token` is required, `pad_token` defaults to it); `template`
    is the checkpoint's chat template, if it has one. Control tokens are the special added tokens and those named like
    markup, `<...>`.
    """

    def __init__(self, backend: tokenizers.Tokenizer, config: Mapping[str, Any], template: str | None = None) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.config = dict(config)
        self.template = template
        self._backend = backend
        self._ids: dict[str, int] = backend.get_vocab(with_added_tokens=True)
        self.vocab_size: int = max(self._ids.values()) + 1
        added = backend.get_added_tokens_decoder().values()
        self.control: frozenset[str] = frozenset(t.content for t in added if t.special or _is_markup(t.content))
        self.eos_name = token_name(config, "eos_token") or ""
        self.eos_id: int = self.id(self.eos_name)
        self.pad_id: int = self.id(token_name(config, "pad_token") or self.eos_name)
        self._short: dict[tuple[bool, str], list[int]] = {}

    def id(self, token: str) -> int:
        """The id of a token by its name. Raises ConfigError if the vocabulary does not have it."""
        if token not in self._ids:
            raise ConfigError(f"the vocabulary of {self.vocab_size} tokens has no {token!r}: name one that it has")
        return self._ids[token]

    def same_tokens(self, other: Tokenizer) -> bool:
        """Whether both have the same tokens under the same ids."""
        return self._ids == other._ids

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, taken literally. Raises DataError if the vocabulary cannot encode it."""
        return self._run(self._literal, text)

    def encode_markup(self, text: str) -> list[int]:
        """Ids of `text`, in which names of control tokens become control tokens, except in text returned by
        `escape`.
        """
        if _GUARD not in text:
            return self._run(self._backend, text)
        ids: list[int] = []
        for part in self.control_names.split(text):
            if part in self.control:
                ids.append(self._ids[part])
            elif part:
                ids += self.encode(unescape(part))
        return ids

    def escape(self, text: str) -> str:
        """Text from outside, escaped for use in markup: `encode_markup` takes it literally."""
        doubled = text.replace(_GUARD, _GUARD * 2)
        return self.control_names.sub(lambda match: match[0][0] + _GUARD + match[0][1:], doubled)

    def decode_markup(self, ids: Sequence[int]) -> str:
        """The inverse of `encode_markup`: control tokens by name, ordinary text escaped. See `unescape`."""
        text, ordinary = "", list[int]()
        for token in ids:
            if token in self.control_ids:
                text += self.escape(self.decode(ordinary)) + self.control_ids[token]
                ordinary = []
            else:
                ordinary.append(token)
        return text + self.escape(self.decode(ordinary))

    def decode(self, ids: Sequence[int], skip_special: bool = False) -> str:
        """Text of `ids`; ids outside of the vocabulary have no text."""
        return str(self._backend.decode(ids, skip_special_tokens=skip_special))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text that each token adds; they join to the text. A character of several tokens is in the piece of its
        last token.
        """
        stream = self.stream(skip_special=False)
        pieces = [stream.push([token]) for token in ids]
        if pieces:
            pieces[-1] += stream.flush()
        return pieces

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token adds to a text, even if it is only a part of a character; none outside of the
        vocabulary.
        """
        text = self.decode([token])
        if REPLACEMENT in text:
            return raw_bytes(str(self._backend.id_to_token(token)), byte_level=self._byte_level)
        twice = self.decode([token, token])  # a decoder may treat the first token of a text differently
        return (twice[len(text) :] if twice.startswith(text) else text).encode()

    def stream(self, *, skip_special: bool = True) -> Detokenizer:
        """A decoder of one stream of ids into pieces of whole characters."""
        return Detokenizer(lambda ids: self.decode(ids, skip_special))

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, tokenizer_config.json and the chat template, as transformers reads them."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "tokenizer.json", self._backend.to_str(pretty=True))
        write_json(folder / "tokenizer_config.json", self.config)
        if self.template is not None:
            write_atomic(folder / "chat_template.jinja", self.template)

    @property
    def named_tokens(self) -> dict[str, str]:
        """The tokens that tokenizer_config.json names: `bos_token`, `eos_token` and the like."""
        found = {key: token_name(self.config, key) for key in self.config if key.endswith("_token")}
        return {key: name for key, name in found.items() if name is not None}

    @cached_property
    def longest(self) -> int:
        """Characters of the longest token: a text of `n` characters has at least `n / longest` tokens."""
        return max((len(name) for name in self._ids if name not in self.control), default=1)

    @cached_property
    def control_ids(self) -> dict[int, str]:
        """The control tokens by their ids."""
        return {self._ids[name]: name for name in self.control}

    @cached_property
    def _byte_level(self) -> bool:
        return '"ByteLevel"' in json.dumps(json.loads(self._backend.to_str())["decoder"])

    @cached_property
    def control_names(self) -> re.Pattern[str]:
        """Matches the name of any control token, and captures it."""
        longest_first = sorted(self.control, key=lambda name: (-len(name), name))
        return re.compile("(" + ("|".join(map(re.escape, longest_first)) or "(?!)") + ")")

    @cached_property
    def _literal(self) -> tokenizers.Tokenizer:
        """A copy that sees no control token in a text, not even those that the file does not mark as special."""
        data = json.loads(self._backend.to_str())
        for token in data["added_tokens"]:
            token["special"] = token["content"] in self.control
        copy = tokenizers.Tokenizer.from_str(json.dumps(data))
        copy.encode_special_tokens = True
        return copy

    def _run(self, backend: tokenizers.Tokenizer, text: str) -> list[int]:
        """Short texts are remembered: markers, and what environments say again and again."""
        if len(text) > SHORT:
            return self._encoded(backend, text)
        if (found := self._short.get((backend is self._backend, text))) is None:
            if len(self._short) >= REMEMBERED:
                self._short.clear()
            found = self._short[backend is self._backend, text] = self._encoded(backend, text)
        return found.copy()

    def _encoded(self, backend: tokenizers.Tokenizer, text: str) -> list[int]:
        try:
            return list(backend.encode(text, add_special_tokens=False).ids)
        except Exception as error:  # the library raises bare Exception for a symbol without an id
            missing = next(((i, c) for i, c in enumerate(text) if c not in self._ids), None)
            if missing is None:
                raise DataError(f"the tokenizer cannot encode {text[:60]!r}: {error}") from error
            raise DataError(
                f"character {missing[1]!r} at position {missing[0]} of {text[:60]!r} is not in the tokenizer's"
                " alphabet: add it there, or use a byte-level tokenizer"
            ) from error


def unescape(text: str) -> str:
    """The original text of `Tokenizer.escape`."""
    return re.sub(f"{_GUARD}({_GUARD}?)", r"\1", text)


def char_tokenizer(alphabet: Iterable[str], control: Sequence[str] = PLAIN_CONTROL) -> Tokenizer:
    """One token per character of `alphabet` (any strings; order and repeats do not matter) after the control tokens.

    The first control token is the padding token, the second ends a turn. Encoding a character outside of the alphabet
    raises DataError.
    """
    letters = sorted(set("".join(alphabet)))
    if not letters:
        raise ConfigError("the alphabet of a character tokenizer is empty: give it the texts, or their characters")
    vocabulary = {token: i for i, token in enumerate((*control, *letters))}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(list(control))
    return Tokenizer(backend, _config(pad=control[0], eos=control[1]))


def train_bpe(
    texts: Iterable[str], vocab_size: int, special: Sequence[str] = GLM_ROLES, markup: Sequence[str] = GLM_MARKUP
) -> Tokenizer:
    """Byte-level BPE trained on `texts`: any text can be encoded, each digit is its own token, equal texts give equal
    tokenizers.

    The first of `special` is the end and padding token. `vocab_size` is an upper bound: few texts give fewer merges.
    Raises ConfigError if it has no room for the 256 bytes and the control tokens.
    """
    control = (*special, *markup)
    if vocab_size < 256 + len(control):
        raise ConfigError(
            f"vocab_size {vocab_size} is too small: 256 bytes and {len(control)} control tokens need"
            f" {256 + len(control)}"
        )
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(control),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    data = json.loads(backend.to_str())
    for token in data["added_tokens"]:  # the trainer marks all of them as special
        token["special"] = token["content"] in special
    backend = tokenizers.Tokenizer.from_str(json.dumps(data))
    return Tokenizer(backend, _config(pad=special[0], eos=special[0]))


def _config(*, pad: str, eos: str) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": eos,
        "pad_token": pad,
        "clean_up_tokenization_spaces": False,
    }


def token_name(config: Mapping[str, Any], key: str) -> str | None:
    """A token's name in tokenizer_config.json, which writes it as a string or as an object with `content`."""
    token = config.get(key)
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) else None


def _is_markup(name: str) -> bool:
    return len(name) > 2 and name.startswith("<") and name.endswith(">")
