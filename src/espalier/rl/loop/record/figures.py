"""The metrics of one training step, under canonical names."""

from __future__ import annotations

import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from espalier.engine.api import EngineStats
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Status, Trajectory


def rollout_figures(groups: Sequence[ScoredGroup], counts: Counter[str], version: int) -> dict[str, float]:
    """Rewards, lengths, turns, lag and environment metrics of a step's groups. `version` is the version being
    trained.
    """
    rows = [row for group in groups for row in group.rows]
    episodes = [episode for group in groups for episode in group.episodes]
    lengths = np.array([row.sampled for row in rows])
    forced = any("forced" in row.info for row in rows)
    lags = np.array([row.lag(version) for row in rows])
    figures = {
        "reward/total": _mean(row.reward for row in rows),
        "reward/std": float(np.std([row.reward or 0.0 for row in rows])),
        "reward/spread": _mean(float(np.std([row.reward or 0.0 for row in group.rows])) for group in groups),
        "reward/zero_std_frac": _mean(not group.informative for group in groups),
        "len/mean": float(lengths.mean()),
        "len/max": float(lengths.max()),
        "len/truncated": _mean(row.status == Status.TRUNCATED for row in rows),
        "len/crowded": _mean(row.info.get("crowded", False) for row in rows),
        **({"len/forced": _mean(row.info.get("forced", False) for row in rows)} if forced else {}),
        "turns": _mean(episode.turns for episode in episodes),
        "lag/mean": float(lags.mean()),
        "lag/max": float(lags.max()),
        "group/filtered": counts["filtered"],
        "group/failed": counts["failed"],
        "group/repaired": counts["repaired"],
    }
    by_env, by_component, by_info = defaultdict(list), defaultdict(list), defaultdict(list)
    for row, episode in zip(rows, episodes, strict=True):
        by_env[row.task].append(row.reward)
        for name, value in row.rewards.items():
            by_component[name].append(value)
        for name, value in episode.info.items():
            by_info[f"env/{row.task}/{name}"].append(value)
    figures |= {f"reward/component/{name}": _mean(values) for name, values in by_component.items()}
    if len(by_env) > 1:
        figures |= {f"reward/task/{name}": _mean(values) for name, values in by_env.items()}
    figures |= {name: _mean(values) for name, values in by_info.items()}
    named = {name: [group.figures[name] for group in groups if name in group.figures] for name in _names(groups)}
    return figures | {name: _mean(values) for name, values in named.items()}


def _names(groups: Sequence[ScoredGroup]) -> list[str]:
    """Of the figures of the groups themselves."""
    return list(dict.fromkeys(name for group in groups for name in group.figures))


def lag_figures(rows: Sequence[Trajectory], version: int, masked: int, counts: Counter[str]) -> dict[str, float]:
    """Lag of the sampled tokens of a step from `version`, the share of them that is `masked`, and what was dropped."""
    lags = np.array([version - v for row in rows for v in row.versions if v >= 0])
    return {
        "lag/tokens": float(lags.mean()) if len(lags) else 0.0,
        "lag/masked": masked / len(lags) if len(lags) else 0.0,
        "lag/dropped_rows": float(counts["stale_rows"]),
        "group/stale": float(counts["stale"]),
    }


def failing_tools(figures: Mapping[str, float]) -> list[str]:
    """The task sets of which more than half of the calls of tools failed."""
    names = [key.removeprefix("env/").removesuffix("/call_errors") for key in figures if key.endswith("/call_errors")]
    return [
        name for name in names if 0.0 < figures.get(f"env/{name}/calls", 0.0) < 2 * figures[f"env/{name}/call_errors"]
    ]


def engine_figures(before: EngineStats, after: EngineStats) -> dict[str, float]:
    """What the engine did between two readings of its counters."""
    busy = after.busy_seconds - before.busy_seconds
    sampled = after.sampled_tokens - before.sampled_tokens
    prefilled = after.prefilled_tokens - before.prefilled_tokens
    cached = after.cached_tokens - before.cached_tokens
    return {
        "engine/tokens": float(sampled),
        "engine/steps": float(after.steps - before.steps),
        "engine/lost": float(after.lost - before.lost),
        "engine/repeated": float(after.repeated - before.repeated),
        "time/engine": busy,
        "engine/tokens_s": sampled / busy if busy > 0 else 0.0,
        "engine/prefill_tokens": float(prefilled),
        "engine/cached_frac": cached / (cached + prefilled) if cached + prefilled else 0.0,
    }


GIB = 2**30


def memory_figures() -> dict[str, float]:
    """Memory of this process in GiB: resident now and at its peak; on a CUDA device, the most that torch allocated."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    figures = {"memory/peak_gib": peak / GIB}
    statm = Path("/proc/self/statm")
    if statm.exists():
        figures["memory/resident_gib"] = int(statm.read_text().split()[1]) * resource.getpagesize() / GIB
    if torch.cuda.is_available():
        figures["memory/cuda_peak_gib"] = torch.cuda.max_memory_allocated() / GIB
    return figures


def _mean(values: Iterable[float | None]) -> float:
    return float(np.mean([value or 0.0 for value in values]))
