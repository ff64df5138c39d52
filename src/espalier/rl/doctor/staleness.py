"""Old tokens, engines that compute otherwise than the learner, and who waits for whom."""

from __future__ import annotations

from statistics import fmean, median

from espalier.core.tracking.findings import WINDOW, Finding, ends, latest, total, values
from espalier.core.tracking.metrics import History
from espalier.rl.config import TrainConfig

MASKED = 0.3
"""Share of tokens that are too old for the loss (ours)."""
MISMATCH = 1e-5
"""Mean difference of log-probs between the embedded engine and the learner in fp32, with the same weights (ours: runs
have about 2e-7)."""
GROWTH = 3.0
"""Factor by which this difference grows (ours)."""
WAITING = 0.5
"""Share of the time in which one side waits for the other (ours)."""


def masked(config: TrainConfig, history: History) -> Finding | None:
    """Many tokens are sampled and not trained."""
    share = latest(history, "lag/masked")
    if share is None or share <= MASKED:
        return None
    return Finding(
        "masked",
        f"{share:.0%} of the sampled tokens are too old to be trained",
        f"mean of lag/masked over the last {WINDOW} steps, with rollout.max_lag={config.rollout.max_lag}",
        "episodes take longer than max_lag steps: raise rollout.max_lag (and keep algorithm.correction), make episodes "
        "shorter, or train on more groups a step",
    )


def lag_bound(config: TrainConfig, history: History) -> Finding | None:
    """Rows exceed the bound on lag: often, where they are only masked; at all, where that cannot be."""
    bound, stale = config.rollout.max_lag, config.rollout.stale
    lags = values(history, "lag/max")[-WINDOW:]
    above = [lag for lag in lags if lag > bound]
    strict = bound == 0 or stale != "mask"
    if not above or (not strict and len(above) <= len(lags) / 2):
        return None
    return Finding(
        "lag_bound",
        "rows are older than rollout.max_lag allows",
        f"in {len(above)} of the last {len(lags)} steps, up to {max(above):.0f} with rollout.max_lag={bound}; "
        f"{latest(history, 'lag/masked', least=1) or 0.0:.0%} of the tokens were masked",
        f"rollout.stale={stale} should prevent this: please report it, with the run's config.yaml"
        if strict
        else "slow episodes outlast the bound, and their old tokens are not trained: raise rollout.max_lag, or set "
        "rollout.stale=wait, which waits for them",
    )


def mismatch(config: TrainConfig, history: History) -> Finding | None:
    """Engine and learner disagree about tokens of the same weights: more than rounding in fp32, or more and more.

    Where answers keep their KV cache over a publish, their next tokens have lag 0 and differ all the same. In such runs
    the smallest value of the last steps counts, in others the mean.
    """
    found, both = values(history, "mismatch/0/abs")[-WINDOW:], ends(history, "mismatch/0/abs")
    straddle = config.rollout.overlap and config.rollout.after_publish == "keep"
    same = 0.0 if not found else min(found) if straddle else fmean(found)
    if same > MISMATCH and _exact(config):
        least = "at least " if straddle else ""
        return Finding(
            "mismatch",
            "engine and learner compute different log-probs with the same weights",
            f"mean difference at lag 0: {least}{same:.2g} in the last {len(found)} steps; rounding in fp32 stays below "
            f"{MISMATCH:g}",
            "the engine has other weights or another model than the learner: please report it, with config.yaml"
            + ("; rollout.after_publish=recompute excludes old KV caches as the cause" if straddle else ""),
        )
    if both is None or median(both[1]) <= max(MISMATCH, GROWTH * median(both[0])):
        return None
    return Finding(
        "mismatch",
        "the difference between engine and learner grows",
        f"median difference of log-probs at lag 0: {median(both[0]):.2g} at first, {median(both[1]):.2g} lately",
        "training on it becomes unstable: take a correction (algorithm.correction=tis or icepop), or engine.precision="
        "fp32 and engine.quantize=none",
    )


def waits(config: TrainConfig, history: History) -> Finding | None:
    """One side of asynchronous training waits most of the time."""
    whole = total(history, "time/step")
    if not whole or "time/wait_data" not in history:
        return None
    learner, admission = (total(history, f"time/{name}") / whole for name in ("wait_data", "wait_policy"))
    servers = config.engine.servers
    engines = max(config.engine.count, len(servers.urls) if servers else 0)
    busy = total(history, "time/engine") / whole / engines
    evidence = (
        f"of the time of all steps the learner waited {learner:.0%} for groups, admission waited {admission:.0%} for "
        f"new weights, and the engine was busy {busy:.0%}"
    )
    if learner > WAITING and admission > WAITING:
        advice = "raise rollout.max_lag, so that more groups may run meanwhile"
        return Finding("waits", "slow groups fill the window: both sides wait for them", evidence, advice)
    if learner > WAITING and busy > WAITING:
        advice = "more engines (engine.kind=process, engine.count), more rows (engine.max_rows), or shorter answers"
        return Finding("waits", "the engine is the slowest part: the learner waits for it", evidence, advice)
    if learner > WAITING:
        limit = config.rollout.max_in_flight
        advice = f"let more attempts run (rollout.max_in_flight={limit})" if limit else "raise rollout.max_lag"
        return Finding(
            "waits",
            "the environments are the slowest part: the learner waits for them",
            evidence,
            f"{advice}, or make environments and rewards faster; `trace: true` shows which part of an attempt is slow",
        )
    if admission > WAITING:
        advice = "training is as fast as the learner: more threads or ranks for it, or fewer for the engines"
        return Finding("waits", "the learner is the slowest part: sampling waits for it", evidence, advice)
    return None


def _exact(config: TrainConfig) -> bool:
    """Whether engine and learner differ by rounding only."""
    engine = config.engine
    plain = engine.precision == "fp32" and engine.quantize == "none" and engine.kind in ("local", "process")
    return plain and config.learner.precision == "fp32" and config.model.dtype == "float32"
