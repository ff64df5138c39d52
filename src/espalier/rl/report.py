"""The report of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from espalier.core.report.blocks import (
    Block,
    Counted,
    Curves,
    Headline,
    Reference,
    Rollouts,
    Samples,
    Shares,
    Text,
    Timing,
)
from espalier.core.report.change import changed
from espalier.core.tracking.findings import Finding
from espalier.core.tracking.metrics import History
from espalier.rl.config import TrainConfig

ROLLOUTS = "rollouts.jsonl"
"""The artefact with sampled answers of training."""
PARTS = ("demonstrate", "generate", "wait_data", "train", "publish", "evaluate", "save")
LEARNING = (
    "Share of sampled answers to held-out tasks that are correct, with a 95% bootstrap interval over tasks. "
    "Steps of a warm start are counted first."
)
LABELS = {"eval/avg": "sampled", "greedy/avg": "greedy", "probe/avg": "probe", "probe_greedy/avg": "probe, greedy"}
WAITS = {"time/wait_data": "learner waits for groups", "time/wait_policy": "sampling waits for new weights"}
ACCURACY = Headline("accuracy", "eval/avg")
COUNTED = (
    Counted("groups of answers failed and were left out", "group/failed"),
    Counted("attempts failed and were played again", "group/repaired"),
    Counted("answers were cut because the engine had no room for them (engine.max_len)", "len/crowded"),
    Counted("optimizer steps were skipped, as gradients were not finite", "grad_skipped"),
    Counted("demonstrations failed and were left out", "demonstrations/failed"),
)


def training_report(
    config: TrainConfig,
    figures: Mapping[str, float],
    samples: Samples | None = None,
    told: str = "",
    findings: Sequence[Finding] = (),
) -> list[Block]:
    """Blocks of a run of reinforcement learning. `figures`: results so far. `told`: its summary, if there is one."""
    found = "\n\n".join(f"{one.what}: {one.evidence}. To do: {one.advice}." for one in findings)
    return [
        ACCURACY,
        *([Text("What happened", told, wide=True)] if told else []),
        *([Text("Findings", found, wide=True, note="Of `espalier doctor`.")] if found else []),
        _accuracy(figures, "before reinforcement learning"),
        Curves("Reward", ["reward/total"], note="Mean over the rows of a step."),
        Curves("Reward spread", ["reward/spread"], note="Standard deviation within a group, mean over groups."),
        Curves("Groups without a difference in reward", ["reward/zero_std_frac"], percent=True),
        Curves("pass@k on held-out tasks", ["eval/pass@*"], percent=True, note="At least one of k answers is right."),
        Curves("Response length", ["len/mean", "len/max"], note="Sampled tokens."),
        Curves("Truncated answers", ["len/truncated", "len/crowded"], percent=True, note="Ended by a limit."),
        Curves("Entropy", ["entropy"], note="Of the policy, in nats a token."),
        *_divergence(config),
        Curves("Gradient norm", ["grad_norm"], log=True),
        Curves("Learning rate", ["lr"]),
        Curves("Mismatch of engine and learner", ["mismatch/*/abs"], log=True, note="Mean |Δ log-prob|, by lag."),
        Shares("Reward components", ["reward/component/*"]),
        *_occasional(config),
        Timing("Where the time went", [f"time/{part}" for part in PARTS]),
        Curves("Speed", ["engine/tokens_s"], labels={"engine/tokens_s": "sampled tokens a second"}),
        Curves("Memory", ["memory/*"], note="Of the process, in GiB."),
        *([Rollouts("Answers sampled in training", f"artefacts/{ROLLOUTS}")] if config.rollout_log.groups else []),
        *([samples] if samples else []),
        *COUNTED,
    ]


def _divergence(config: TrainConfig) -> list[Block]:
    """KL to the reference, where there is one."""
    if not config.algorithm.needs_reference:
        return []
    return [Curves("KL to the reference", ["kl/ref"], note="Estimated by k3, in nats a token.")]


def _occasional(config: TrainConfig) -> list[Block]:
    """What only some runs log."""
    blocks: list[Block] = []
    if config.rollout.overlap:
        blocks.append(Curves("Lag", ["lag/mean", "lag/max", "lag/tokens"], note="Versions, of the step's tokens."))
        blocks.append(Curves("Lag of later steps", ["lag/in_queue", "lag/in_flight"], note="Versions."))
        blocks.append(Curves("Tokens too old for the loss", ["lag/masked"], percent=True))
        blocks.append(Curves("Attempts under way", ["episodes/in_flight"]))
        blocks.append(Curves("Waits", ["time/wait_data", "time/wait_policy"], labels=WAITS, note="Seconds of a step."))
    if config.engine.kind != "local":
        blocks.append(Curves("Engines lost, requests repeated", ["engine/lost", "engine/repeated"]))
    if config.learner.updates_per_step * config.learner.epochs > 1:
        blocks.append(Curves("Clipped tokens", ["clip/low", "clip/high"], percent=True))
    if len(config.tasks) > 1:
        blocks.append(Curves("Rewards by task", ["reward/task/*"]))
        blocks.append(Curves("Held-out accuracy by task", ["eval/*/avg"], percent=True))
    if config.warm_start.steps:
        blocks.append(Curves("Cross entropy", ["loss/ce"], note="Of the warm start, in nats a token."))
    return blocks


def supervised_report(figures: Mapping[str, float]) -> list[Block]:
    """Blocks of a supervised run. `figures`: results so far."""
    return [
        ACCURACY,
        _accuracy(figures, "before training"),
        Curves("Cross entropy", ["loss/ce"], note="In nats a token."),
        Curves("pass@k on held-out tasks", ["eval/pass@*"], percent=True, note="At least one of k answers is right."),
        Curves("Gradient norm", ["grad_norm"], log=True),
        Curves("Learning rate", ["lr"]),
        Timing("Where the time went", [f"time/{part}" for part in PARTS]),
        *COUNTED,
    ]


def _accuracy(figures: Mapping[str, float], label: str) -> Curves:
    before = figures.get("accuracy_before")
    marks = [] if before is None else [Reference(label, before)]
    metrics = ["eval/avg", "greedy/avg", "probe/avg", "probe_greedy/avg"]
    return Curves("Held-out accuracy", metrics, references=marks, labels=LABELS, percent=True, wide=True, note=LEARNING)


def story(config: TrainConfig, history: History) -> str:
    """A summary of the run in a few sentences. It calls a change a gain only if its whole interval is above 0."""
    tasks = ", ".join(sorted({task.env for task in config.tasks}))
    warm = config.warm_start
    start = f"after {warm.steps} steps of imitating demonstrations" if warm.steps else "as it came"
    whole = f"A language model was trained on {tasks} by reinforcement with {config.algorithm.title}. It began {start}"
    found = changed(history, "eval/avg")
    if found is None:
        return f"{whole}."
    gain = f"{100 * found.gain:+.1f} points"
    if found.lo is not None and found.hi is not None:
        gain += f", 95% interval {100 * found.lo:+.1f} to {100 * found.hi:+.1f}"
    sentence = {
        "rose": f"Accuracy rose to {found.after:.1%}",
        "fell": f"Accuracy fell to {found.after:.1%}: the model became worse",
        "no clear change": f"At the end it solved {found.after:.1%}, which is no clear change",
    }[found.verdict]
    return f"{whole}, where it solved {found.before:.1%} of held-out tasks. {sentence} ({gain})."
