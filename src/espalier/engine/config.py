"""The recipe section `engine:`."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from espalier.core.config import Config

MAX_ROWS = 128
PREFILL_TOKENS = 2048
RETAIN_ROWS = 32
CONTROL_SECONDS = 120.0
"""Deadline of every call of an engine elsewhere that is not a completion."""
QUEUE = 1024
"""Default number of answers that may wait for a row in a server."""


class ServersConfig(Config):
    """Servers of other projects."""

    urls: tuple[str, ...] = ()
    """Addresses of running servers, such as `http://127.0.0.1:8000`; without any, `engine.count` servers of vLLM are
    started."""

    key_env: str = ""
    """Name of the environment variable that contains the API key of the servers, if they ask for one."""

    adapters: bool = False
    """Publish a model with adapters (`model.lora`) as adapters alone, not as full weights. Less is written, but vLLM's
    server on a CPU samples several times more slowly with adapters."""

    @field_validator("key_env")
    @classmethod
    def _no_key(cls, name: str) -> str:
        if name and not name.isidentifier():
            raise ValueError("give the name of the environment variable that contains the key, not the key")
        return name


class SglangConfig(ServersConfig):
    """SGLang's servers. A run joins running servers, and starts none."""


class VllmConfig(ServersConfig):
    """vLLM's servers. A run joins running servers, or starts and ends its own."""

    later: ClassVar[frozenset[str]] = frozenset({"key_env", "transfer"})

    python: str = ".venv-vllm/bin/python"
    """Python of the environment in which vLLM is installed; `make vllm` makes this one, with vLLM's CPU server."""

    transfer: bool = False
    """Broadcast weights from the learner's GPU to running servers (`urls`), not through files. Not yet run on a GPU."""

    args: tuple[str, ...] = ("--enforce-eager", "--no-enable-chunked-prefill")
    """Further arguments of a server that is started. These are for a server on a CPU, which ends where the prefill of a
    request with a seed is chunked; on a GPU leave them out: `args: []`."""

    kv_gib: int = Field(default=1, ge=1)
    """Memory for the KV cache of a server on a CPU, in GiB."""

    start_seconds: float = Field(default=300.0, gt=0.0)
    """Timeout of the start of a server."""


class EngineConfig(Config):
    """The engine that samples."""

    later: ClassVar[frozenset[str]] = frozenset(
        {
            "kind",
            "vllm",
            "sglang",
            "count",
            "threads",
            "probe",
            "request_seconds",
            "heartbeat_seconds",
            "precision",
            "quantize",
        }
    )

    kind: Literal["local", "process", "vllm", "sglang"] = "local"
    """`local`: embedded in this process. `process`: the same engine in a process of its own. `vllm`, `sglang`: servers
    of these projects."""

    vllm: VllmConfig = VllmConfig()
    """For the kind `vllm`."""

    sglang: SglangConfig = SglangConfig()
    """For the kind `sglang`."""

    count: int = Field(default=1, ge=1)
    """Number of engines, for other kinds than `local`."""

    threads: int | None = Field(default=None, ge=1)
    """CPU threads of each engine in a process of its own. Null: an equal share of all, or of half of them if it samples
    while the learner trains."""

    probe: float | None = Field(default=None, gt=0.0)
    """Largest difference between an engine's log-probs and the learner's that is accepted after a publish, relative to
    log-probs beyond 1 nat, for other kinds than `local`. Null: 1e-4 for fp32, 1 for bf16 and for int8."""

    request_seconds: float = Field(default=600.0, gt=0.0)
    """Timeout of one completion, for other kinds than `local`."""

    heartbeat_seconds: float = Field(default=5.0, gt=0.0)
    """Time between two checks that an engine still answers."""

    max_rows: int = Field(default=MAX_ROWS, ge=1)
    """Number of sequences that decode at the same time. On two CPU cores, 64 to 256 are about equally fast."""

    max_len: int = Field(default=512, ge=2)
    """Longest sequence in tokens, prompt and completion together."""

    prefill_tokens: int = Field(default=PREFILL_TOKENS, ge=1)
    """Largest number of prompt tokens in one step; longer prompts are prefilled in chunks."""

    retain_rows: int = Field(default=RETAIN_ROWS, ge=0)
    """Extra KV rows that keep finished sequences, so that next turns and forks reuse them."""

    weights: Literal["alias", "copy"] = "alias"
    """`alias` shares the learner's tensors, `copy` keeps a separate copy. An engine that samples while the learner
    trains (`rollout.max_lag`), or that rounds its weights (`quantize`), keeps a copy in both cases."""

    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """Type of the engine's weights and cache, independent of the learner's; sums, log-probs and sampling are fp32.
    `auto` uses bf16 if the hardware supports it natively. A bf16 model stays bf16."""

    quantize: Literal["none", "int8"] = "none"
    """`int8` rounds the engine's matrices to 8 bits, with one scale for each output. It saves no memory: it is for
    studies of engines whose arithmetic differs from the learner's."""

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.quantize != "none" and self.on_servers:
            raise ValueError(
                f"engine.quantize={self.quantize} is for the embedded engine, not for engine.kind={self.kind}"
            )
        if self.kind == "sglang" and not self.sglang.urls:
            raise ValueError(
                "engine.kind=sglang joins running servers and starts none: name their addresses in engine.sglang.urls"
            )
        if self.kind == "vllm" and self.vllm.transfer and (self.vllm.adapters or not self.vllm.urls):
            raise ValueError(
                "engine.vllm.transfer sends full weights to servers on GPUs of their own: start them with "
                '--weight-transfer-config \'{"backend": "nccl"}\', name their addresses in engine.vllm.urls, and leave '
                "engine.vllm.adapters out"
            )
        if self.count > 1 and self.kind == "local":
            raise ValueError("engine.count needs engines in processes of their own: set engine.kind to process or vllm")
        return self

    @property
    def on_servers(self) -> bool:
        """Whether engines are servers of other projects."""
        return self.servers is not None

    @property
    def servers(self) -> ServersConfig | None:
        """The section of the kind, if its engines are servers of other projects."""
        sections: dict[str, ServersConfig] = {"vllm": self.vllm, "sglang": self.sglang}
        return sections.get(self.kind)

    @property
    def on_these_cores(self) -> bool:
        """Whether engines run in processes of their own on this machine's CPU."""
        return self.kind == "process" or (self.kind == "vllm" and not self.vllm.urls)

    @property
    def tolerance(self) -> float:
        """`probe`, decided."""
        if self.probe is not None:
            return self.probe
        return 1e-4 if self.precision == "fp32" and self.quantize == "none" else 1.0

    def sharing(self, *, overlap: bool) -> Literal["alias", "copy"]:
        """`weights`, decided: `overlap` says that the engine samples while a learner changes its weights."""
        return "copy" if overlap or self.quantize != "none" else self.weights
