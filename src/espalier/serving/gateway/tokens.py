"""Estimates the number of tokens of a prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from espalier.core.errors import DataError, MissingExtraError
from espalier.core.io.text import read_text

_PROMPT_TOKENS = re.compile(rb'"prompt_tokens"\s*:\s*(\d+)')
NOT_TEXT = frozenset({"image_url", "input_audio", "audio_url", "video_url", "file"})
"""Parts of messages whose size in bytes is unrelated to their number of tokens."""


class Prompt(NamedTuple):
    """tokens: expected number, at least 1. text: bytes of its text, 0 if tokens were counted."""

    tokens: int
    text: int


class TokenEstimate:
    """Bytes of text divided by `bytes_per_token`, corrected with the usage that engines report; or the exact count if
    there is a tokenizer that covers the text.

    weight: of each new ratio in the running mean (ours).
    """

    def __init__(self, bytes_per_token: float = 3.6, weight: float = 0.05, tokenizer: Path | None = None) -> None:
        self.bytes_per_token, self.weight = bytes_per_token, weight
        self._tokenizer: Any = None if tokenizer is None else _tokenizer(tokenizer)

    def of(self, body: Mapping[str, Any]) -> Prompt:
        """The estimate for a request's prompt or messages, including its tools. Each token id counts as one."""
        said = [body.get(name) for name in ("prompt", "messages", "tools")]
        ids = _ids(said[0])
        texts = [one.encode("utf-8", "surrogatepass") for one in _texts(said)]
        if self._tokenizer is not None:
            return Prompt(max(ids + sum(map(self._count, texts)), 1), 0)
        text = sum(map(len, texts))
        return Prompt(max(round(text / self.bytes_per_token) + ids, 1), text)

    def _count(self, text: bytes) -> int:
        try:
            return len(self._tokenizer.encode(text.decode("utf-8", "replace")).ids)
        except Exception:  # plain Exception, for a symbol without an id: the engine answers for it
            return round(len(text) / self.bytes_per_token)

    def learn(self, text: int, tokens: int) -> None:
        """Update the ratio: a prompt of so many bytes had so many tokens."""
        if text > 0 and tokens > 0:
            self.bytes_per_token += self.weight * (text / tokens - self.bytes_per_token)


def prefix_blocks(body: Mapping[str, Any], size: int) -> tuple[int, ...]:
    """Hashes of the prompt's prefixes, every `size` bytes. Each hash covers everything before it. Raises DataError."""
    spoken = body.get("messages") or body.get("prompt", "")
    try:
        said = spoken if isinstance(spoken, str) else json.dumps(spoken, ensure_ascii=False)
    except RecursionError:
        raise DataError("the prompt is nested too deeply") from None
    text = said.encode("utf-8", "surrogatepass")
    running, hashes = blake2b(digest_size=8), []
    for start in range(0, len(text) - size + 1, size):
        running.update(text[start : start + size])
        hashes.append(int.from_bytes(running.digest(), "big"))
    return tuple(hashes)


def reported_tokens(tail: bytes) -> int | None:
    """`prompt_tokens` of the last usage at the end of a response."""
    found = _PROMPT_TOKENS.findall(tail)
    return int(found[-1]) if found else None


def _tokenizer(file: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise MissingExtraError("tokenizers", "rl") from error
    if not file.is_file():
        raise DataError(f"tokenizer: there is no {file}; it is the tokenizer.json of the model")
    content = read_text(file)
    try:
        return Tokenizer.from_str(content)
    except Exception as error:  # the library raises plain Exception
        raise DataError(f"tokenizer: {file} is not a tokenizer.json: {error}") from None


def _ids(prompt: Any) -> int:
    """Number of token ids in a prompt, or in each prompt of a list."""
    if not isinstance(prompt, list):
        return 0
    return sum(isinstance(one, int) for one in chain(prompt, *(one for one in prompt if isinstance(one, list))))


def _texts(value: Any) -> Iterator[str]:
    """All text in a JSON value, at any depth."""
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                yield text
            case Mapping() as fields:
                left += [one for name, one in fields.items() if name not in NOT_TEXT]
            case list() as parts:
                left += parts
