"""How each kind of engine is addressed. All engine-specific code is in this file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from multidict import CIMultiDict

from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.ticket import Ticket

RANK_HEADER = "X-Data-Parallel-Rank"
"""Used by vLLM and, since March 2026, by SGLang."""
BATCH_HEADER = "X-Espalier-Batch"
"""`name/size`: the batch that a request was sent in, and the batch's number of requests. An engine may wait for all of
them, so that they enter one pass. Other engines ignore it."""
NUMBER_HEADER = "X-Espalier-Number"
"""The number of a request among those sent to its instance, from 1. An engine that reports its passes returns the
largest number it has received, so that the gateway knows which requests a report covers."""
DEADLINE_HEADER = "X-Espalier-Deadline"
"""Sent by a client: seconds that its request may be held, if that is less than the gateway's own limit."""
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
"""Headers that are not forwarded, in addition to those that `Connection` lists."""
OURS = frozenset(name.lower() for name in (RANK_HEADER, BATCH_HEADER, NUMBER_HEADER, DEADLINE_HEADER))
"""Headers that select a rank. They are removed, because clients cannot choose a rank."""
CODINGS = frozenset({"accept-encoding", "content-encoding"})
"""Bodies are decompressed by the server, and answers are requested uncompressed, because their events must be parsed.
"""


@dataclass(frozen=True, slots=True)
class Posting:
    """A request as it is sent to an engine."""

    url: str
    headers: CIMultiDict[str]
    body: bytes


def end_to_end(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The headers that are forwarded, with repeated names kept."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return ((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP | named)


def asked(headers: Mapping[str, str], config: GatewayConfig) -> CIMultiDict[str]:
    """A client's headers as they are sent to an engine. A key that the gateway has checked is removed."""
    sent = CIMultiDict(pair for pair in end_to_end(headers) if pair[0].lower() not in OURS | CODINGS)
    if config.api_keys:
        sent.popall("Authorization", None)
    sent.update(key_header(config))
    sent["Accept-Encoding"] = "identity"
    return sent


def key_header(config: GatewayConfig) -> dict[str, str]:
    """The authorization header that engines require."""
    key = config.engine_key
    return {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}


def posting(config: GatewayConfig, ticket: Ticket, path: str, headers: Mapping[str, str], body: bytes) -> Posting:
    """The request for a place. The body is the client's, byte for byte. If the engine reads the rank from the body, one
    field is added at its end.
    """
    target, rank = config.targets[ticket.instance], ticket.rank
    sent = asked(headers, config)
    sent[BATCH_HEADER], sent[NUMBER_HEADER] = ticket.batch, str(ticket.number)
    if len(target.urls) == target.ranks:
        return Posting(target.urls[rank].rstrip("/") + path, sent, body)
    sent[RANK_HEADER] = str(rank)
    if target.kind == "sglang":
        body = _with_rank(body, rank)
    return Posting(target.urls[0].rstrip("/") + path, sent, body)


def _with_rank(body: bytes, rank: int) -> bytes:
    """A JSON object with the rank as its last field. The last field takes precedence over a client's own."""
    fields = body.rstrip().removesuffix(b"}").rstrip()
    comma = b"" if fields.endswith(b"{") else b", "
    return fields + comma + b'"routed_dp_rank": %d}' % rank
