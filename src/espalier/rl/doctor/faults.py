"""What broke, and was repaired or left out."""

from __future__ import annotations

from espalier.core.tracking.findings import WINDOW, Finding, latest, total, values
from espalier.core.tracking.metrics import History
from espalier.rl.config import TrainConfig

FAILED = 0.1
"""Share of attempts, or of calls of tools, that fail (ours)."""


def skipped_gradients(history: History) -> Finding | None:
    """Optimizer steps were left out."""
    skipped = total(history, "grad_skipped")
    if not skipped:
        return None
    steps = sum(value > 0 for value in values(history, "grad_skipped"))
    return Finding(
        "skipped_gradients",
        "optimizer steps were skipped, as gradients were not finite",
        f"{skipped:.0f} in {steps} steps (metric grad_skipped)",
        "a lower learning rate, or learner.precision=fp32; look at grad_norm and ratio/max before the first of them",
    )


def lost_engines(config: TrainConfig, history: History) -> Finding | None:
    """Engines were lost, or requests began again."""
    lost, repeated = total(history, "engine/lost"), total(history, "engine/repeated")
    if not lost and not repeated:
        return None
    return Finding(
        "lost_engines",
        "engines were lost during the run, and started again",
        f"{lost:.0f} times; {repeated:.0f} requests began again",
        "the run goes on, and loses time. The files below engines/ in the run folder, and the console, say why: often "
        "memory, or a deadline (engine.request_seconds, engine.heartbeat_seconds)",
    )


def failed_attempts(config: TrainConfig, history: History) -> Finding | None:
    """Many attempts end with an error: in training, where they are repeated or left out, or in evaluations."""
    rows = config.rollout.groups_per_step * config.rollout.samples_per_group * len(values(history, "reward/total"))
    groups = total(history, "group/failed")
    failed = total(history, "group/repaired") + groups * config.rollout.samples_per_group
    share = failed / (rows + failed) if rows else 0.0
    held = latest(history, "eval/failed", least=1) or 0.0
    if max(share, held) <= FAILED:
        return None
    return Finding(
        "failed_attempts",
        "many attempts fail",
        f"{share:.0%} in training ({groups:.0f} whole groups failed), {held:.0%} in the evaluations",
        "the warnings show the first error: an environment, a judge or a tool that raises or takes longer than "
        f"rollout.env_seconds={config.rollout.env_seconds:g}",
    )


def failing_tools(config: TrainConfig, history: History) -> Finding | None:
    """Many calls of tools fail."""
    shares: dict[str, float] = {}
    for name in history:
        if name.endswith("/call_errors"):
            errors, calls = latest(history, name), latest(history, name.removesuffix("_errors") + "s")
            shares[name.removeprefix("env/").removesuffix("/call_errors")] = errors / calls if errors and calls else 0.0
    bad = {env: share for env, share in shares.items() if share > FAILED}
    if not bad:
        return None
    return Finding(
        "failing_tools",
        "many calls of tools fail",
        ", ".join(f"{env}: {share:.0%} of the calls" for env, share in bad.items()) + f" of the last {WINDOW} steps",
        "read answers in the report: wrong names or arguments are the model's (demonstrations with calls help), "
        "timeouts are the tool's",
    )
