"""How each kind of engine is addressed. What is peculiar to an engine stays in this file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from multidict import CIMultiDict

from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.ticket import Ticket

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


def asked(headers: Mapping[str, str], config: GatewayConfig) -> CIMultiDict[str]:
    """A client's headers as an engine gets them. A key that the gateway checks goes no further."""
    sent = CIMultiDict(pair for pair in end_to_end(headers) if pair[0].lower() not in OURS | CODINGS)
    if config.api_keys:
        sent.popall("Authorization", None)
    sent.update(key_header(config))
    sent["Accept-Encoding"] = "identity"
    return sent


def key_header(config: GatewayConfig) -> dict[str, str]:
    """What engines ask the gateway to show."""
    key = config.engine_key
    return {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}


def posting(config: GatewayConfig, ticket: Ticket, path: str, headers: Mapping[str, str], body: bytes) -> Posting:
    """A request to its place. The body is the client's, byte for byte; for an engine that wants the rank in it, with
    one field more at its end.
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
    """A JSON object with the rank as its last field, which counts where a client gave one too."""
    fields = body.rstrip().removesuffix(b"}").rstrip()
    comma = b"" if fields.endswith(b"{") else b", "
    return fields + comma + b'"routed_dp_rank": %d}' % rank
