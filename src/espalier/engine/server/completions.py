"""Plain completions: prompts as texts or token ids, answers as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from espalier.core.messages import Message
from espalier.engine.sequence import Progress
from espalier.engine.server.choice import Delta
from espalier.engine.server.requests import CompletionRequest
from espalier.engine.server.service import Format, Job, Service
from espalier.lm.tokens import Tokenizer

DEFAULT_MAX_TOKENS = 16
"""OpenAI's default."""


def completion_job(request: CompletionRequest, service: Service) -> Job:
    """Each prompt `n` times."""
    tokenizer = service.tokenizer
    prompts = [tokenizer.encode(prompt) if isinstance(prompt, str) else prompt for prompt in request.prompts]

    def read(ids: Sequence[int]) -> Message:
        ended = len(ids) > 0 and ids[-1] == tokenizer.eos_id
        return Message.assistant(tokenizer.decode(ids[:-1] if ended else ids))

    choices = service.choices(
        request,
        prompts,
        limit=request.max_tokens or DEFAULT_MAX_TOKENS,
        read=read,
        stop=(tokenizer.eos_id,),
        top=request.logprobs or 0,
        whole=False,
    )
    form = CompletionFormat(service, request.logprobs is not None)
    return Job(choices, form, request.stream, request.wants_usage)


class CompletionFormat(Format):
    """`text_completion`, whole and in chunks."""

    prefix, whole_kind, chunk_kind = "cmpl-", "text_completion", "text_completion"

    def __init__(self, service: Service, logprobs: bool) -> None:
        super().__init__(service.name)
        self._tokenizer, self._logprobs = service.tokenizer, logprobs
        self._lengths: dict[int, int] = {}

    def whole(self, delta: Delta) -> dict[str, Any]:
        """See `Format`."""
        logprobs = None
        if self._logprobs:
            begin = self._lengths.get(delta.index, 0)
            logprobs = _logprobs(self._tokenizer, delta.tokens, begin)
            self._lengths[delta.index] = begin + sum(map(len, logprobs["tokens"]))
        return {"index": delta.index, "text": delta.content, "logprobs": logprobs, "finish_reason": delta.finish}

    chunk = whole


def _logprobs(tokenizer: Tokenizer, tokens: list[Progress], begin: int) -> dict[str, list[Any]]:
    texts = [tokenizer.decode([item.token]) for item in tokens]
    offsets = [begin]
    for text in texts:
        offsets.append(offsets[-1] + len(text))
    return {
        "tokens": texts,
        "token_logprobs": [item.raw_logprob for item in tokens],
        "top_logprobs": [{tokenizer.decode([token]): logprob for token, logprob in item.top} for item in tokens],
        "text_offset": offsets[:-1],
    }
