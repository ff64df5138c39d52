"""Plain completions: prompts as texts or token ids, answers as text."""

from __future__ import annotations

from typing import Any

from espalier.engine.server.choice import Delta, Wish
from espalier.engine.server.logprobs import completion_note, legacy
from espalier.engine.server.reading import TextReading
from espalier.engine.server.requests import CompletionRequest
from espalier.engine.server.service import Format, Job, Service

DEFAULT_MAX_TOKENS = 16
"""OpenAI's default."""


def completion_job(request: CompletionRequest, service: Service) -> Job:
    """Each prompt `n` times."""
    tokenizer = service.tokenizer
    service.check_length(
        max((len(prompt) for prompt in request.prompts if isinstance(prompt, str)), default=0), "prompt"
    )
    prompts = [tokenizer.encode(prompt) if isinstance(prompt, str) else prompt for prompt in request.prompts]
    wanted = request.logprobs is not None
    wish = Wish(
        read=lambda prompt: TextReading(tokenizer),
        stops=request.stops,
        note=(lambda: completion_note(service.names, tokenizer, tokenizer.eos_id)) if wanted else None,
        top=request.logprobs or 0,
    )
    limit = request.max_tokens or DEFAULT_MAX_TOKENS
    choices = service.choices(request, prompts, wish, limit=limit, stop=(tokenizer.eos_id,))
    return Job(choices, CompletionFormat(service.name), request.stream, request.wants_usage)


class CompletionFormat(Format):
    """`text_completion`, whole and in chunks."""

    prefix, whole_kind, chunk_kind = "cmpl-", "text_completion", "text_completion"

    def whole(self, delta: Delta) -> dict[str, Any]:
        """See `Format`."""
        logprobs = legacy(delta.logprobs) if delta.logprobs else None
        return {"index": delta.index, "text": delta.content, "logprobs": logprobs, "finish_reason": delta.finish}

    chunk = whole
