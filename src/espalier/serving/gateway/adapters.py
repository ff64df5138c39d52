"""How each kind of engine is addressed. What is peculiar to an engine stays in this file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from multidict import CIMultiDict

from espalier.serving.gateway.config import TargetConfig

RANK_HEADER = "X-Data-Parallel-Rank"
"""Read by vLLM and, since March 2026, by SGLang."""
BATCH_HEADER = "X-Espalier-Batch"
"""`name/size`: the batch that a request was sent in, and how many it has. An engine may wait for all of them, so that
they enter one pass; those of others ignore it.
"""
NUMBER_HEADER = "X-Espalier-Number"
"""Which of the requests sent to this instance it is, from 1. An engine that tells of its passes says the largest number
it has seen, so that the gateway knows what its report covers.
"""
DEADLINE_HEADER = "X-Espalier-Deadline"
"""Of a client: seconds that its request may be held, where that is less than the gateway's own limit."""
HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that end at this hop, as do those that `Connection` names."""
OURS = frozenset(name.lower() for name in (RANK_HEADER, BATCH_HEADER, NUMBER_HEADER, DEADLINE_HEADER))
"""A client does not choose its rank."""
CODINGS = frozenset({"accept-encoding", "content-encoding"})
"""Bodies arrive here decoded, and answers are asked for as they are: their events have to be read."""


@dataclass(frozen=True, slots=True)
class Posting:
    """A request as an engine gets it."""

    url: str
    headers: CIMultiDict[str]
    body: bytes


def end_to_end(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The headers that go on beyond this hop, a name as often as it came."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return ((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP | named)


def asked(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """A client's headers as an engine gets them."""
    sent = CIMultiDict(pair for pair in end_to_end(headers) if pair[0].lower() not in OURS | CODINGS)
    sent["Accept-Encoding"] = "identity"
    return sent


def posting(
    target: TargetConfig, rank: int, path: str, headers: Mapping[str, str], body: bytes, *, batch: str, number: int
) -> Posting:
    """The request to `rank`. The body is the client's, byte for byte, unless the engine wants the rank in it."""
    sent = asked(headers)
    sent[BATCH_HEADER], sent[NUMBER_HEADER] = batch, str(number)
    if len(target.urls) == target.ranks:
        return Posting(target.urls[rank].rstrip("/") + path, sent, body)
    sent[RANK_HEADER] = str(rank)
    if target.kind == "sglang":
        body = json.dumps({**json.loads(body), "routed_dp_rank": rank}, ensure_ascii=False).encode()
    return Posting(target.urls[0].rstrip("/") + path, sent, body)
