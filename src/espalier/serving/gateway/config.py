"""Settings of the gateway."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)

from espalier.core.config import Config
from espalier.serving.config import SchedulerConfig
from espalier.serving.model.steptime import PrefillTime

KEY = re.compile(r"[!-~]+")
Port = Annotated[int, Field(ge=0, le=65535)]


class TargetConfig(Config):
    """One engine instance: its data-parallel ranks share every forward pass."""

    urls: tuple[str, ...]
    """One address for all ranks, or one address per rank; without `/v1`."""
    ranks: PositiveInt = 1
    """Number of data-parallel ranks."""
    kind: Literal["openai", "vllm", "sglang", "events"] = "openai"
    """`vllm` and `sglang` receive the rank in the header X-Data-Parallel-Rank, `sglang` also in the field
    routed_dp_rank. A plain `openai` endpoint has no rank. `events` uses the header and reports each pass at
    /engine/events."""

    @field_validator("urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise ValueError(f"{url!r} is not a URL: it must begin with http:// or https://")
            if parts.path.rstrip("/").endswith("/v1"):
                raise ValueError(f"{url!r}: leave out /v1")
        return urls

    @model_validator(mode="after")
    def _consistent(self) -> TargetConfig:
        if len(self.urls) not in (1, self.ranks):
            raise ValueError(
                f"urls: {len(self.urls)} addresses for {self.ranks} ranks; give one address, or one per rank"
            )
        if self.kind == "openai" and self.ranks > 1 and len(self.urls) == 1:
            raise ValueError(
                "ranks: a plain openai endpoint cannot select a rank; give one address per rank, or use another kind"
            )
        return self


class GatewayConfig(Config):
    """A gateway in front of engines of one model."""

    targets: Annotated[tuple[TargetConfig, ...], Field(min_length=1)]
    """The engine instances."""
    scheduler: SchedulerConfig = SchedulerConfig(policy="sbs_whole")
    """The scheduling policy and its settings."""
    prefill: PrefillTime = PrefillTime()
    """Step times of an instance. Measure them with `espalier serving calibrate`."""
    host: str = "127.0.0.1"
    """Address on which the gateway listens for clients."""
    port: Port = 8080
    """Port for clients; 0 takes a free one."""
    admin_host: str = "127.0.0.1"
    """Address on which the admin API listens."""
    admin_port: Port | None = None
    """Port of the admin API. None turns it off."""
    api_keys: tuple[SecretStr, ...] = ()
    """API keys. If there are any, a client must send one of them (`Authorization: Bearer KEY`)."""
    engine_key: SecretStr | None = None
    """Key that the gateway sends to engines. If there are no API keys and no engine key, the client's key is forwarded.
    """
    prefill_only: bool = False
    """Whether other engines decode after the first token. If false, decoding counts as load of the same instance."""
    buffer_requests: PositiveInt = 10_000
    """Largest number of held requests. When it is reached, new requests are rejected with 429."""
    buffer_tokens: PositiveInt = 50_000_000
    """Largest number of held prompt tokens. When it is reached, new requests are rejected with 429."""
    first_byte_seconds: PositiveFloat = 120.0
    """Timeout in seconds for the first event of a stream. After it, the engine counts as failed."""
    stream_silence: PositiveFloat = 60.0
    """Seconds without a byte after which an answer that has begun is aborted; also for a client that reads nothing."""
    answer_seconds: PositiveFloat = 600.0
    """Timeout in seconds for an answer without streaming, which arrives after all its tokens; then 504."""
    deadline_seconds: PositiveFloat = 300.0
    """Seconds after which a request that is still held is rejected with 503."""
    grace_seconds: NonNegativeFloat = 10.0
    """Seconds that open requests may continue after shutdown begins. After that, each ends with an error."""
    body_bytes: PositiveInt = 8 * 1024 * 1024
    """Largest request body in bytes, after decompression."""
    failures: PositiveInt = 3
    """Consecutive failures after which an instance gets no more requests. One refused connection is enough."""
    retry_seconds: PositiveFloat = 5.0
    """Seconds between two health checks of an instance."""
    silence_seconds: PositiveFloat = 2.0
    """Watchdog: seconds that a first byte may be overdue before the instance is suspected (or three passes if that is
    longer). Streams of a lost instance are aborted after the same time without a byte."""
    bytes_per_token: PositiveFloat = 3.6
    """Initial estimate of bytes per prompt token. The `usage` of the engines corrects it."""
    tokenizer: Path | None = None
    """A `tokenizer.json` to count prompt tokens exactly. Tokens that a chat template adds are not counted."""
    valve_margin: NonNegativeFloat = 0.05
    """Safety valve: how much worse than immediate dispatch holding may be, as a share."""

    @field_validator("api_keys", "engine_key")
    @classmethod
    def _sendable(cls, given: tuple[SecretStr, ...] | SecretStr | None) -> tuple[SecretStr, ...] | SecretStr | None:
        for key in given if isinstance(given, tuple) else (given,):
            if key is not None and not KEY.fullmatch(key.get_secret_value()):
                raise ValueError("a key must consist of visible ASCII characters")
        return given

    @model_validator(mode="after")
    def _distinct(self) -> GatewayConfig:
        urls = [url.rstrip("/") for target in self.targets for url in target.urls]
        if twice := [url for url in dict.fromkeys(urls) if urls.count(url) > 1]:
            raise ValueError(f"targets: {twice[0]} is named twice")
        return self
