"""How many tokens a prompt has, before the engine says so."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

_PROMPT_TOKENS = re.compile(rb'"prompt_tokens"\s*:\s*(\d+)')


class TokenEstimate:
    """Bytes of text over `bytes_per_token`, corrected by what engines report of prompts that ended. weight: of each new
    ratio in the running mean (ours).
    """

    def __init__(self, bytes_per_token: float = 3.6, weight: float = 0.05) -> None:
        self.bytes_per_token, self.weight = bytes_per_token, weight

    def tokens(self, body: Mapping[str, Any]) -> tuple[int, int]:
        """Tokens, and bytes of text, of a request's prompt or messages. Token ids count themselves."""
        text, ids = _measure(body.get("prompt", ())), 0
        if isinstance(prompt := body.get("prompt"), list) and prompt and isinstance(prompt[0], int):
            ids = len(prompt)
        for message in body.get("messages", ()) or ():
            text += _measure(message)
        return max(round(text / self.bytes_per_token) + ids, 1), text

    def learn(self, text: int, tokens: int) -> None:
        """A prompt of so many bytes had so many tokens."""
        if text > 0 and tokens > 0:
            self.bytes_per_token += self.weight * (text / tokens - self.bytes_per_token)


def prefix_blocks(body: Mapping[str, Any], size: int) -> tuple[int, ...]:
    """Hashes of the prompt's prefixes, every `size` bytes, each of all that is before it."""
    spoken = body.get("messages") if body.get("messages") else body.get("prompt", "")
    text = spoken.encode() if isinstance(spoken, str) else json.dumps(spoken, ensure_ascii=False).encode()
    running, hashes = blake2b(digest_size=8), []
    for start in range(0, len(text) - size + 1, size):
        running.update(text[start : start + size])
        hashes.append(int.from_bytes(running.digest(), "big"))
    return tuple(hashes)


def reported_tokens(tail: bytes) -> int | None:
    """`prompt_tokens` of the last usage in the end of a response."""
    found = _PROMPT_TOKENS.findall(tail)
    return int(found[-1]) if found else None


def error_in(first: bytes) -> str | None:
    """The error that a stream begins with, where its first event is one."""
    line = first.lstrip().removeprefix(b"data:").strip().split(b"\n", 1)[0]
    if b'"error"' not in line:
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return str(event["error"])[:200] if isinstance(event, dict) and event.get("error") else None


def _measure(value: Any) -> int:
    """Bytes of all text in a JSON value."""
    match value:
        case str():
            return len(value.encode())
        case Mapping():
            return sum(_measure(one) for one in value.values())
        case list() | tuple():
            return sum(_measure(one) for one in value)
    return 0
