"""Whether anything is learned: rewards, lengths, entropy, progress."""

from __future__ import annotations

import math
from statistics import fmean, variance

from espalier.core.report.change import changed
from espalier.core.tracking.findings import LEAST, WINDOW, Finding, ends, latest, values
from espalier.core.tracking.metrics import History
from espalier.rl.config import TrainConfig

DOMINANT = 0.8
"""Share of one component in the reward (ours)."""
DRIFT = 2.0
"""Factor by which the length of answers changes (ours)."""
EQUAL = 0.7
"""Share of groups whose rewards do not differ (ours)."""
ENTROPY_FLOOR = 0.05
"""Nats a token, below which sampling is nearly greedy (ours)."""
SOLVED = 0.9
"""Held-out accuracy at which low entropy, and no further progress, are as they should be (ours)."""
TRUNCATED = 0.5
"""Share of answers that a limit ended (ours)."""
FLAT_STEPS = 20
"""Steps before which no progress says nothing (ours)."""
ERRORS = 2.0
"""Standard errors by which two means must differ, about a 95% interval (ours)."""


def dominant_component(config: TrainConfig, history: History) -> Finding | None:
    """One of several components is most of the reward, by magnitude."""
    names = [name.removeprefix("reward/component/") for name in history if name.startswith("reward/component/")]
    means = {name: latest(history, f"reward/component/{name}") for name in names}
    sizes = {name: abs(mean) for name, mean in means.items() if mean is not None}
    whole = sum(sizes.values())
    if len(sizes) < 2 or not whole or max(sizes.values()) <= DOMINANT * whole:
        return None
    first = max(sizes, key=lambda name: sizes[name])
    parts = ", ".join(f"{name} {means[name]:.3g}" for name in sizes)
    return Finding(
        "dominant_component",
        f"the component {first} is {sizes[first] / whole:.0%} of the reward",
        f"mean of each component over the last {WINDOW} steps: {parts}",
        "if the others should count, raise their weight (rewards.N.weight). If this one alone should decide, it is as "
        "it should be",
    )


def length_drift(config: TrainConfig, history: History) -> Finding | None:
    """Answers become much longer or shorter, and accuracy does not change clearly."""
    found, accuracy = ends(history, "len/mean"), changed(history, "eval/avg")
    if found is None or accuracy is None or accuracy.verdict != "no clear change":
        return None
    before, after = map(fmean, found)
    if min(before, after) <= 0 or max(before / after, after / before) <= DRIFT:
        return None
    return Finding(
        "length_drift",
        f"answers became {'longer' if after > before else 'shorter'} without becoming better",
        f"mean length {before:.3g} at first and {after:.3g} tokens lately; held-out accuracy {accuracy.before:.1%} and "
        f"{accuracy.after:.1%}, which is no clear change",
        "read answers of late steps in the report. A reward that length can buy does this: check the rewards, or "
        "punish length (rewards: {kind: length}, algorithm.overlong)",
    )


def equal_rewards(config: TrainConfig, history: History) -> Finding | None:
    """Most groups have equal rewards, and so teach nothing. Those that were replaced count too."""
    equal = latest(history, "reward/zero_std_frac")
    if equal is None or not config.algorithm.needs_group:
        return None
    groups, replaced = config.rollout.groups_per_step, latest(history, "group/filtered") or 0.0
    share = (equal * groups + replaced) / (groups + replaced)
    if share <= EQUAL:
        return None
    reward = latest(history, "reward/total") or 0.0
    replace = "" if config.algorithm.filter_zero_variance else "; algorithm.filter_zero_variance=true replaces them"
    return Finding(
        "equal_rewards",
        "in most groups all rewards are equal, so that nothing is learned from them",
        f"{share:.0%} of the groups of the last {WINDOW} steps; the mean reward is {reward:.3g}",
        "where the reward is high, the tasks are too easy: take harder ones. Where it is low, they are too hard: take "
        f"easier ones, a longer warm start, or more attempts (rollout.samples_per_group){replace}",
    )


def entropy_collapse(config: TrainConfig, history: History) -> Finding | None:
    """The policy hardly varies any more, and the task is not solved."""
    entropy = latest(history, "entropy")
    if entropy is None or entropy >= ENTROPY_FLOOR or _accuracy(history) >= SOLVED:
        return None
    first = fmean(values(history, "entropy")[:LEAST])
    return Finding(
        "entropy_collapse",
        "the entropy of the policy has collapsed",
        f"{entropy:.3g} nats a token over the last {WINDOW} steps, below {ENTROPY_FLOOR:g}; {first:.3g} at first",
        "attempts hardly differ any more, so little can be learned: a higher algorithm.clip_high, an entropy bonus "
        "(algorithm.entropy_coef), a lower learning rate, or an earlier checkpoint",
    )


def no_progress(config: TrainConfig, history: History) -> Finding | None:
    """The mean reward of the last third of the steps is not clearly above that of the first third."""
    rewards = values(history, "reward/total")
    third = len(rewards) // 3
    accuracy = changed(history, "eval/avg")
    rose = accuracy is not None and accuracy.verdict == "rose" and accuracy.lo is not None
    if len(rewards) < FLAT_STEPS or rose or _accuracy(history) >= SOLVED or config.shuffle_rewards:
        return None
    first, last = rewards[:third], rewards[-third:]
    gain = fmean(last) - fmean(first)
    error = math.sqrt((variance(first) + variance(last)) / third)
    if gain > ERRORS * error:
        return None
    fell = gain < -ERRORS * error
    held = f"; held-out accuracy {accuracy.before:.1%} and {accuracy.after:.1%}" if accuracy else ""
    return Finding(
        "no_progress",
        "the reward fell" if fell else "the reward does not rise",
        f"mean {fmean(first):.3g} in the first {third} steps and {fmean(last):.3g} in the last (standard error of the "
        f"difference {error:.2g}){held}",
        "a lower learning rate, or an earlier checkpoint"
        if fell
        else "look at the other findings first; then more attempts, easier tasks, or another learning rate",
    )


def truncated(config: TrainConfig, history: History) -> Finding | None:
    """Limits end most answers."""
    share = latest(history, "len/truncated")
    if share is None or share <= TRUNCATED:
        return None
    crowded = latest(history, "len/crowded") or 0.0
    limits = f"rollout.max_tokens={config.rollout.max_tokens}, rollout.max_turns={config.rollout.max_turns}"
    return Finding(
        "truncated",
        "most answers are cut off before their end",
        f"{share:.0%} of the answers of the last {WINDOW} steps; {crowded:.0%} lacked room in the engine "
        f"(engine.max_len={config.engine.max_len})",
        f"raise what is too small: {limits}, engine.max_len",
    )


def _accuracy(history: History) -> float:
    """The last one; 0.0 where there is none."""
    found = values(history, "eval/avg")
    return found[-1] if found else 0.0
