"""Measure an endpoint: prompts of several lengths, one at a time, and the seconds to their first byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from secrets import token_hex
from time import perf_counter

from espalier.core.errors import EngineError, MissingExtraError


def probe(url: str, model: str, words: Sequence[int], repeats: int = 3) -> Iterator[tuple[int, float]]:
    """Prompt tokens (by the endpoint's usage) and seconds of each request. Raises EngineError where it does not answer.

    Each prompt begins with random letters that no other has, in this probe or another, so that no cached prefix helps.
    """
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise MissingExtraError("httpx", "serving") from error
    where = url.rstrip("/").removesuffix("/v1") + "/v1/completions"
    with httpx.Client(timeout=120.0) as client:
        for _ in range(repeats):
            for size in words:
                body = {"model": model, "prompt": token_hex(8) + " word" * max(size - 1, 1), "max_tokens": 1}
                begun = perf_counter()
                try:
                    answer = client.post(where, json=body)
                    seconds = perf_counter() - begun
                    answer.raise_for_status()
                    tokens = int(answer.json()["usage"]["prompt_tokens"])
                except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
                    raise EngineError(f"{where} cannot be measured: {type(error).__name__} {error}") from None
                yield tokens, seconds
