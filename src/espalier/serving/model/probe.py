"""Measure an endpoint: prompts of several lengths, one at a time, and the seconds to their first byte."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from time import perf_counter

from espalier.core.errors import EngineError, MissingExtraError


def probe(url: str, model: str, words: Sequence[int], repeats: int = 3) -> Iterator[tuple[int, float]]:
    """Prompt tokens (by the endpoint's usage) and seconds of each request. Raises EngineError where it does not answer.

    Each prompt begins with another number, so that no cached prefix helps.
    """
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise MissingExtraError("httpx", "serving") from error
    where = url.rstrip("/").removesuffix("/v1") + "/v1/completions"
    with httpx.Client(timeout=120.0) as client:
        for repeat in range(repeats):
            for size in words:
                prompt = f"{repeat} {size} " + "word " * max(size - 2, 1)
                body = {"model": model, "prompt": prompt, "max_tokens": 1}
                begun = perf_counter()
                try:
                    answer = client.post(where, json=body)
                    answer.raise_for_status()
                    tokens = answer.json()["usage"]["prompt_tokens"]
                except (httpx.HTTPError, json.JSONDecodeError, KeyError, TypeError) as error:
                    raise EngineError(f"{where} cannot be measured: {type(error).__name__} {error}") from None
                yield int(tokens), perf_counter() - begun
