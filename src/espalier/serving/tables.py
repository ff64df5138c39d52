"""Tables of a comparison's report."""

from __future__ import annotations

import math
from collections.abc import Mapping

from espalier.core.report.blocks import Number, Table
from espalier.serving.averages import Averages, Setting
from espalier.serving.config import CompareConfig
from espalier.serving.traces.trace import Trace

Rows = list[list[str | Number]]
SETTING = ("pool", "traffic", "load")
TAILS = {
    "p50": "ttft_p50",
    "p90": "ttft_p90",
    "p99": "ttft_p99",
    "held": "held",
    "in the engine": "queued",
    "utilisation": "utilisation",
    "imbalance": "imbalance",
}
ANSWERS = {
    "TPOT": "tpot_mean",
    "TPOT p50": "tpot_p50",
    "TPOT p99": "tpot_p99",
    "whole": "whole_mean",
    "whole p99": "whole_p99",
    "output tokens/s": "throughput",
}
QUARTERS = ("shortest prompts", "second quarter", "third quarter", "longest prompts")


def change(new: float, old: float) -> float:
    """In percent."""
    return 100.0 * (new / old - 1.0)


def times(config: CompareConfig, found: Averages) -> Table:
    """Means by arm, each beside its change against every baseline, and beside what never had a first token."""
    rows: Rows = []
    for setting in found.settings:
        means = {arm: found.of(setting, arm, "ttft_mean") for arm in config.arms}
        cells = []
        for arm, mean in means.items():
            against = config.baselines if arm not in config.baselines else ()
            changes = ", ".join(f"{change(mean, means[base]):+.0f}%" for base in against)
            lost = found.total(setting, arm, "unfinished")
            cell = f"{mean:.3f}" + f" ({changes})" * bool(changes) + f", {lost} unfinished" * bool(lost)
            cells.append("none finished" if math.isnan(mean) else cell)
        rows.append([*_setting(setting), *cells])
    note = "change in % against " + ", ".join(config.baselines) + f"; {config.seeds} seeds; means are of what finished"
    return Table("Mean time to first token, in seconds", [*SETTING, *config.arms], rows, wide=True, note=note)


def losses(config: CompareConfig, found: Averages) -> Table:
    """Where the mean or the p99 of an arm that holds is above a baseline's, or where it leaves more unfinished."""
    rows: Rows = []
    holding = [name for name, arm in config.arms.items() if arm.holds and name not in config.baselines]
    for setting in found.settings:
        for arm in holding:
            for base in config.baselines:
                mean, p99 = (
                    change(found.of(setting, arm, name), found.of(setting, base, name))
                    for name in ("ttft_mean", "ttft_p99")
                )
                more = found.total(setting, arm, "unfinished") - found.total(setting, base, "unfinished")
                if mean > 0 or p99 > 0 or more > 0:
                    rows.append([*_setting(setting), arm, base, mean, p99, more])
    columns = [*SETTING, "arm", "against", "mean, %", "p99, %", "more unfinished"]
    return Table("Where holding loses", columns, rows or [["nowhere", *[""] * 4, None, None, None]], wide=True)


def tails(config: CompareConfig, found: Averages) -> Table:
    """Percentiles, waits, and how level the passes were."""
    rows: Rows = []
    for setting in found.settings:
        for arm in config.arms:
            values = [found.of(setting, arm, name) for name in TAILS.values()]
            rows.append([*_setting(setting), arm, *values, found.total(setting, arm, "unfinished")])
    return Table("Tails and waits", [*SETTING, "arm", *TAILS, "unfinished"], rows, wide=True)


def fairness(config: CompareConfig, found: Averages) -> Table:
    """How far the unlucky of each quarter of prompt lengths are behind its middle."""
    rows: Rows = [
        [*_setting(setting), arm, *found.list_of(setting, arm, "fairness")]
        for setting in found.settings
        for arm in config.arms
    ]
    return Table("Fairness: p99 over p50, by length of the prompt", [*SETTING, "arm", *QUARTERS], rows, wide=True)


def answers(config: CompareConfig, found: Averages) -> Table:
    """After the first token."""
    rows: Rows = [
        [*_setting(setting), arm, *(found.of(setting, arm, name) for name in ANSWERS.values())]
        for setting in found.settings
        for arm in config.arms
    ]
    note = "TPOT: seconds of each further token, transfer included; whole: seconds from arrival to the last token"
    return Table("After the first token", [*SETTING, "arm", *ANSWERS], rows, wide=True, note=note)


def shares(config: CompareConfig, found: Averages) -> Table:
    """Of all requests, the unfinished among them, those within the targets."""
    rows: Rows = [
        [*_setting(setting), *(100.0 * found.of(setting, arm, "good") for arm in config.arms)]
        for setting in found.settings
    ]
    return Table(f"Requests with {_targets(config)}, in %", [*SETTING, *config.arms], rows, wide=True)


def goodput(config: CompareConfig, found: Averages) -> Table:
    """The largest load at which enough requests are within the targets."""
    best: dict[tuple[str, str], dict[str, float]] = {}
    for pool, traffic, load in found.settings:
        row = best.setdefault((pool, traffic), {})
        for arm in config.arms:
            if found.of((pool, traffic, load), arm, "good") >= config.targets.share:
                row[arm] = max(load, row.get(arm, 0.0))
    rows: Rows = [[pool, traffic, *(row.get(arm) for arm in config.arms)] for (pool, traffic), row in best.items()]
    title = f"Goodput: the largest load at which {100 * config.targets.share:g}% have {_targets(config)}"
    return Table(title, ["pool", "traffic", *config.arms], rows, wide=True, note="of the loads simulated")


def remarks(traces: Mapping[str, Trace]) -> list[Table]:
    """What was made of traces that is not as it stands in their files, if anything was."""
    rows: Rows = [[name, note] for name, trace in traces.items() for note in trace.notes]
    return [Table("Traces that were changed", ["traffic", "how"], rows, wide=True)] if rows else []


def _targets(config: CompareConfig) -> str:
    targets = config.targets
    named = (("first token", targets.ttft), ("further tokens", targets.tpot))
    return " and ".join(f"their {name} within {seconds:g} s" for name, seconds in named if seconds is not None)


def _setting(setting: Setting) -> list[str]:
    pool, traffic, load = setting
    return [pool, traffic, f"{load:g}"]
