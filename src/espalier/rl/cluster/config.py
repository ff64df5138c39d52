"""The recipe section `cluster:`. Imports neither torch nor ray."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config


class Share(Config):
    """What one process of a role takes of a machine."""

    cpus: float = Field(default=1.0, gt=0.0)
    """Processor cores. A process computes with as many threads, and at least one."""
    gpus: float = Field(default=0.0, ge=0.0)
    """GPUs; a fraction below 1 shares one."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.gpus > 1 and self.gpus % 1:
            raise ValueError(f"gpus={self.gpus:g}: a process takes whole GPUs, or a fraction of one")
        return self


class ClusterConfig(Config):
    """Where learner, engines and environments run."""

    selector: ClassVar[str | None] = "kind"

    kind: Literal["local", "ray"] = "local"
    """`local`: on this machine; torchrun may start further ranks of the learner, also on others. `ray`: the ranks of
    the learner, the engines of `engine.kind: process` and the processes of `env: plugin` are actors on Ray."""
    address: str | None = None
    """Address of a running cluster, `auto` for the one of this machine. Null: Ray is started on this machine, and ended
    with the run."""
    learners: PositiveInt = 1
    """Ranks of the learner, which divide weights, optimizer states and micro-batches."""
    learner: Share = Share()
    """Of each rank of the learner. With GPUs it trains on them."""
    engine: Share = Share()
    """Of each engine; `engine.count` says how many there are. With GPUs it samples on them."""
    environment: Share = Share()
    """Of each process of an environment; `workers` of its task set says how many there are."""
    seconds: PositiveFloat = 60.0
    """Timeout of the placement: until then, the cluster must have room."""

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.learners > 1 and self.learner.gpus % 1:
            raise ValueError("ranks of a learner cannot share a GPU: set cluster.learner.gpus to a whole number")
        return self
