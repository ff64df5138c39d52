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
    """One address for all ranks, or one of each rank; without `/v1`."""
    ranks: PositiveInt = 1
    """Data-parallel ranks."""
    kind: Literal["openai", "vllm", "sglang", "events"] = "openai"
    """vllm and sglang are told a rank by the header X-Data-Parallel-Rank, sglang also by the field routed_dp_rank; a
    plain openai endpoint has none. events takes the header, and tells of each pass at /engine/events."""

    @field_validator("urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise ValueError(f"{url!r} is no address: begin it with http:// or https://")
            if parts.path.rstrip("/").endswith("/v1"):
                raise ValueError(f"{url!r}: leave out /v1")
        return urls

    @model_validator(mode="after")
    def _consistent(self) -> TargetConfig:
        if len(self.urls) not in (1, self.ranks):
            raise ValueError(f"urls: {len(self.urls)} addresses for {self.ranks} ranks; give one, or one each")
        if self.kind == "openai" and self.ranks > 1 and len(self.urls) == 1:
            raise ValueError(
                "ranks: a plain OpenAI endpoint cannot be told a rank; give one address each, or another kind"
            )
        return self


class GatewayConfig(Config):
    """A gateway in front of engines of one model."""

    targets: Annotated[tuple[TargetConfig, ...], Field(min_length=1)]
    """The instances."""
    scheduler: SchedulerConfig = SchedulerConfig(policy="sbs_whole")
    """Who decides."""
    prefill: PrefillTime = PrefillTime()
    """Step times of an instance: calibrate them."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8080
    """Port to listen on; 0 takes a free one."""
    admin_host: str = "127.0.0.1"
    """Address that operators are served on."""
    admin_port: Port | None = None
    """Port of /admin; without one there is none."""
    api_keys: tuple[SecretStr, ...] = ()
    """Keys of clients, one of which each must show (`Authorization: Bearer KEY`); without any, everybody is served."""
    engine_key: SecretStr | None = None
    """What the gateway shows to engines in the same way; without one they get the client's, if it is not for the
    gateway."""
    prefill_only: bool = False
    """Engines hand over after the first token; else what they decode is counted as load of theirs too."""
    buffer_requests: PositiveInt = 10_000
    """Held requests beyond which a new one is refused with 429."""
    buffer_tokens: PositiveInt = 50_000_000
    """Held prompt tokens beyond which a new request is refused with 429."""
    first_byte_seconds: PositiveFloat = 120.0
    """An engine that has sent no event of a stream by then has failed."""
    stream_silence: PositiveFloat = 60.0
    """Seconds without a byte after which an answer that has begun is cut; also for a client that takes none."""
    answer_seconds: PositiveFloat = 600.0
    """An answer that is no stream comes whole, after all its tokens; after so long it is given up (504)."""
    deadline_seconds: PositiveFloat = 300.0
    """A request that was not placed by then is refused with 503."""
    grace_seconds: NonNegativeFloat = 10.0
    """Seconds that open requests get at shutdown, before each is ended with an error."""
    body_bytes: PositiveInt = 8 * 1024 * 1024
    """Largest body of a request."""
    failures: PositiveInt = 3
    """Failures in a row after which an instance is left alone. One is enough where nobody listens."""
    retry_seconds: PositiveFloat = 5.0
    """Between two looks at the health of an instance, left alone or not."""
    silence_seconds: PositiveFloat = 2.0
    """Watchdog: an instance that owes tokens is suspect after this, or three passes where that is longer. The streams
    of one that is lost are cut after as long without a byte."""
    bytes_per_token: PositiveFloat = 3.6
    """First guess of a prompt's tokens; the engines' `usage` corrects it."""
    tokenizer: Path | None = None
    """A `tokenizer.json`, to count instead of to guess; what a chat template adds is not counted."""
    valve_margin: NonNegativeFloat = 0.05
    """Safety valve: how much worse than immediate dispatch holding may be."""

    @field_validator("api_keys", "engine_key")
    @classmethod
    def _sendable(cls, given: tuple[SecretStr, ...] | SecretStr | None) -> tuple[SecretStr, ...] | SecretStr | None:
        for key in given if isinstance(given, tuple) else (given,):
            if key is not None and not KEY.fullmatch(key.get_secret_value()):
                raise ValueError("a key is one or more of the visible ASCII characters, which a header can carry")
        return given

    @model_validator(mode="after")
    def _distinct(self) -> GatewayConfig:
        urls = [url.rstrip("/") for target in self.targets for url in target.urls]
        if twice := [url for url in dict.fromkeys(urls) if urls.count(url) > 1]:
            raise ValueError(f"targets: {twice[0]} is named twice")
        return self
