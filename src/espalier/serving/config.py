"""Recipe sections of the serving room. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from espalier.core.config import Config
from espalier.serving.model.steptime import DecodeTime, PrefillTime

PolicyName = Literal[
    "random", "round_robin", "least_requests", "power_of_two", "least_tokens", "pull", "sbs", "sbs_whole"
]
DecodeName = Literal["round_robin", "lex", "iqr_lex", "iqr_lex_literal", "cost"]
GENERATED = ("constant", "lognormal")
"""Traces that are no files."""


class PrefixConfig(Config):
    """The scheduler's index of cached prefixes."""

    block: PositiveInt = 512
    """Tokens a hash stands for."""
    capacity: PositiveInt = 4096
    """Blocks that a rank keeps."""


class SchedulerConfig(Config):
    """A scheduler. `sbs` is the published one as we could rebuild it, `sbs_whole` ours; with `pull` each idle instance
    takes a batch at once.
    """

    policy: PolicyName = "sbs"
    """Who decides."""
    ageing: NonNegativeFloat = 0.0
    """sbs: intervals after which a request is placed even without room; 0 for never, which measures best."""
    interval_scale: NonNegativeFloat = 1.0
    """Factor on the interval; of 0 the scheduler pulls without staggering."""
    interval_limit: PositiveFloat | None = None
    """Longest interval in seconds: half the target for the first token is sensible."""
    pressure: NonNegativeFloat = 0.5
    """sbs_whole: rounds of the pool that may be held before prompts are cut."""
    speed: PositiveFloat = 3000.0
    """sbs_whole under pressure: tokens that a prompt must be longer by to be passed over for a second."""
    prefix: PrefixConfig | None = None
    """Count cached prefixes, where the trace has their hashes."""


class TroubleConfig(Config):
    """What is wrong in a simulation."""

    stale: NonNegativeFloat = 0.0
    """Seconds until the scheduler hears that a pass has ended."""
    noise: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Durations of passes vary by this share, uniformly."""
    estimate: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Prompt lengths are estimated with an error of up to this share."""
    slow: PositiveFloat = 1.0
    """Factor on the durations of the last instance."""
    dead: NonNegativeFloat = 0.0
    """Share of the run after which the last instance dies, for good; 0 for never."""


class Arm(SchedulerConfig):
    """One column of a comparison: a scheduler, and what troubles it."""

    trouble: TroubleConfig = TroubleConfig()

    @property
    def holds(self) -> bool:
        """Whether requests may wait in front of an engine that lives."""
        return self.policy in ("pull", "sbs", "sbs_whole")


class LengthsConfig(Config):
    """Lengths of generated requests, prompt and output independent of each other."""

    prompt: PositiveInt = 1024
    """Mean tokens of a prompt."""
    output: PositiveInt = 256
    """Mean tokens of an answer."""
    cv: NonNegativeFloat = 1.0
    """lognormal: standard deviation over mean, of both."""


class TrafficConfig(Config):
    """What arrives. Lengths are drawn from a trace or a distribution; times are generated, or the trace's own."""

    trace: str = "azure_conv.csv"
    """A file below `traces/` of the data root, or a path; or `constant` or `lognormal`, with `lengths`."""
    lengths: LengthsConfig | None = None
    """Where there is no file: how long requests are."""
    cap: PositiveInt | None = None
    """Prompts longer than this are cut to it, as an engine with that context would; it is said how many were."""
    arrivals: Literal["poisson", "gamma", "on_off", "replay"] = "poisson"
    """replay keeps the trace's order and relative times, stretched to the load."""
    cv: PositiveFloat = 3.0
    """gamma: coefficient of variation of the gaps."""
    on: PositiveFloat = 10.0
    """on_off: mean seconds of a burst."""
    off: PositiveFloat = 10.0
    """on_off: mean seconds between bursts."""
    requests: PositiveInt = 20_000
    """How many; replay takes the trace's."""
    cached: bool = False
    """Ranks keep the prefixes they have computed, where the trace has hashes. The load counts all tokens even so."""

    @property
    def generated(self) -> LengthsConfig | None:
        """How long requests are, where no file tells."""
        return self.lengths or LengthsConfig() if self.trace in GENERATED else None

    @model_validator(mode="after")
    def _one_source(self) -> TrafficConfig:
        if self.lengths is not None and self.trace not in GENERATED:
            raise ValueError(f"lengths: those of {self.trace!r} are in the file; for others, set trace to lognormal")
        return self


class TransferConfig(Config):
    """A request's cache on its way from prefill to decode: latency + tokens * seconds_per_token seconds.

    The defaults are ours: the 70 kB a token of DeepSeek-V3 at 35 GB a second.
    """

    latency: NonNegativeFloat = 0.002
    """Seconds, whatever the size."""
    seconds_per_token: NonNegativeFloat = 2e-6
    """Seconds for each token of the prompt."""

    def seconds(self, tokens: int) -> float:
        """For the cache of so many tokens."""
        return self.latency + self.seconds_per_token * tokens


class DecodeStageConfig(Config):
    """Where requests go after their first token: lock-step ranks that generate the rest."""

    ranks: PositiveInt = 64
    """Of the one instance that decodes."""
    placement: DecodeName = "cost"
    """Which rank a request goes to."""
    time: DecodeTime = DecodeTime()
    """Step times."""
    capacity: PositiveInt = 600_000
    """Tokens of cache that a rank holds; a request waits while no rank has room for all of it. The default is ours."""
    transfer: TransferConfig = TransferConfig()
    """The way there."""


class TargetsConfig(Config):
    """Within how many seconds a request is served well. Without a target there is no goodput."""

    ttft: PositiveFloat | None = None
    """To the first token."""
    tpot: PositiveFloat | None = None
    """For each further token, on average over a request, its transfer and waiting included. Needs `decode`."""
    share: float = Field(default=0.9, gt=0.0, le=1.0)
    """Of the requests that must be served well: the largest load at which they are is the goodput."""

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return self.ttft is not None or self.tpot is not None


Traffics = Annotated[dict[str, TrafficConfig], Field(min_length=1)]


class CompareConfig(Config):
    """Schedulers side by side on the same arrivals: pools x traffics x loads x seeds."""

    pools: tuple[str, ...] = Field(default=("4x32",), min_length=1)
    """Instances x ranks."""
    traffic: Traffics = Field(default_factory=lambda: {"Azure conversation": TrafficConfig()})
    """By name."""
    loads: tuple[PositiveFloat, ...] = Field(default=(0.5, 0.7, 0.85, 0.95), min_length=1)
    """Shares of the tokens a second that the pool computes when all passes are full."""
    seeds: PositiveInt = 3
    """Of the arrivals."""
    arms: dict[str, Arm] = Field(
        default_factory=lambda: {name: Arm.of(policy=name) for name in ("least_requests", "least_tokens", "sbs")}
    )
    """By name."""
    baselines: tuple[str, ...] = ("least_requests", "least_tokens")
    """Arms that the others are measured against; unless given, those two as far as they are arms, or the first arm."""
    prefill: PrefillTime = PrefillTime()
    """Step times."""
    decode: DecodeStageConfig | None = None
    """What comes after the first token; without it the simulation ends there, which is several times as fast."""
    targets: TargetsConfig = TargetsConfig()
    """What counts as served well."""
    workers: NonNegativeInt = 2
    """Processes."""

    @model_validator(mode="before")
    @classmethod
    def _found(cls, values: Any) -> Any:
        arms = values.get("arms") if isinstance(values, dict) and "baselines" not in values else None
        if not isinstance(arms, dict):
            return values
        usual = [name for name in cls.model_fields["baselines"].default if name in arms]
        return values | {"baselines": usual or list(arms)[:1]}

    @model_validator(mode="after")
    def _consistent(self) -> CompareConfig:
        if not self.baselines:
            raise ValueError("baselines: name at least one arm")
        for pool in self.pools:
            self.shape(pool)
        for name in self.baselines:
            if name not in self.arms:
                raise ValueError(f"baselines: there is no arm {name!r}")
        if self.targets.tpot is not None and self.decode is None:
            raise ValueError("targets.tpot needs the section `decode`: without it nothing is generated")
        return self

    @staticmethod
    def shape(pool: str) -> tuple[int, int]:
        """Instances and ranks of `4x32`."""
        left, times, right = pool.partition("x")
        if not times or not left.isdigit() or not right.isdigit() or not int(left) * int(right):
            raise ValueError(f"pools: {pool!r} is not instances x ranks, as 4x32")
        return int(left), int(right)


class DecodeConfig(Config):
    """Decode placements side by side: a closed loop of so many requests on one instance."""

    ranks: PositiveInt = 32
    """Of the instance."""
    traffic: Traffics = Field(default_factory=lambda: {"Azure conversation": TrafficConfig()})
    """Lengths are drawn from these traces."""
    at_once: tuple[PositiveInt, ...] = Field(default=(800, 1600, 3200), min_length=1)
    """Requests at all times."""
    placements: tuple[DecodeName, ...] = Field(
        default=("round_robin", "lex", "iqr_lex", "iqr_lex_literal", "cost"), min_length=1
    )
    """Rules; the first is what the others are measured against."""
    steps: PositiveInt = 2000
    """Measured, after as many that are not."""
    seeds: PositiveInt = 3
    """Of the lengths."""
    decode: DecodeTime = DecodeTime()
    """Step times."""
