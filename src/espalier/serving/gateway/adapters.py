"""How each kind of engine is addressed. What is peculiar to an engine stays in this file."""

from __future__ import annotations

import json
from collections.abc import Mapping

from espalier.serving.gateway.config import TargetConfig

RANK_HEADER = "X-Data-Parallel-Rank"
"""Read by vLLM and, since March 2026, by SGLang."""
BATCH_HEADER = "X-Espalier-Batch"
"""`name/size`: the batch that a request was sent in, and how many it has. An engine may wait for all of them, so that
they enter one pass; those of others ignore it.
"""
HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        RANK_HEADER.lower(),
        BATCH_HEADER.lower(),
    }
)
"""Headers that end at this hop. A client does not choose its rank."""


def upstream(
    target: TargetConfig, rank: int, path: str, headers: Mapping[str, str], body: bytes, batch: str
) -> tuple[str, dict[str, str], bytes]:
    """Address, headers and body of the request to `rank`.

    The body is the client's, byte for byte, unless the engine wants the rank in it.
    """
    sent = {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
    sent[BATCH_HEADER] = batch
    if len(target.urls) == target.ranks:
        return target.urls[rank].rstrip("/") + path, sent, body
    sent[RANK_HEADER] = str(rank)
    if target.kind == "sglang":
        body = json.dumps({**json.loads(body), "routed_dp_rank": rank}, ensure_ascii=False).encode()
    return target.urls[0].rstrip("/") + path, sent, body
