"""The report of a training run."""

from __future__ import annotations

from collections.abc import Mapping

from espalier.core.report.blocks import Block, Curves, Reference, Samples, Shares, Table, Text, Timing
from espalier.rl.config import TrainConfig

PARTS = ("demonstrate", "generate", "train", "publish", "evaluate", "save")
LEARNING = (
    "Share of sampled answers to held-out tasks that are correct, with a 95% bootstrap interval over tasks. "
    "Steps of a warm start are counted first."
)


def training_report(config: TrainConfig, figures: Mapping[str, float], samples: Samples) -> list[Block]:
    """Blocks of a reinforcement-learning run. `figures` are the job's."""
    return [
        Text("What happened", story(config, figures)),
        _accuracy(figures, "before reinforcement learning"),
        Curves("Reward", ["reward/total"], note="Mean over the rows of a step."),
        Curves("Response length", ["len/mean", "len/max"], note="Sampled tokens."),
        Curves("Entropy", ["entropy"], note="Of the policy, in nats a token."),
        Curves("Gradient norm", ["grad_norm"], log=True),
        Curves("Mismatch of engine and learner", ["mismatch/*/abs"], log=True, note="Mean |Δ log-prob|, by lag."),
        Curves("Groups without a difference in reward", ["reward/zero_std_frac"], percent=True),
        Shares("Reward components", ["reward/component/*"]),
        *_occasional(config),
        Timing("Where the time went", [f"time/{part}" for part in PARTS]),
        Curves("Speed", ["engine/tokens_s"], labels={"engine/tokens_s": "sampled tokens a second"}),
        _table(figures),
        samples,
    ]


def _occasional(config: TrainConfig) -> list[Block]:
    """What only some runs log."""
    blocks: list[Block] = []
    if config.learner.updates_per_step * config.learner.epochs > 1:
        blocks.append(Curves("Clipped tokens", ["clip/low", "clip/high"], percent=True))
    if len(config.tasks) > 1:
        blocks.append(Curves("Rewards by task", ["reward/task/*"]))
        blocks.append(Curves("Held-out accuracy by task", ["eval/*/avg"], percent=True))
    if config.warm_start.steps:
        blocks.append(Curves("Cross entropy", ["loss/ce"], note="Of the warm start, in nats a token."))
    return blocks


def supervised_report(figures: Mapping[str, float]) -> list[Block]:
    """Blocks of a supervised run. `figures` are the job's."""
    return [
        _accuracy(figures, "before training"),
        Curves("Cross entropy", ["loss/ce"], note="In nats a token."),
        Curves("Gradient norm", ["grad_norm"], log=True),
        Timing("Where the time went", [f"time/{part}" for part in PARTS]),
        _table(figures),
    ]


def _accuracy(figures: Mapping[str, float], label: str) -> Curves:
    before = figures.get("accuracy_before")
    marks = [] if before is None else [Reference(label, before)]
    return Curves("Held-out accuracy", ["eval/avg"], references=marks, percent=True, wide=True, note=LEARNING)


def _table(figures: Mapping[str, float]) -> Table:
    return Table("Figures", ["figure", "value"], [[name.replace("_", " "), value] for name, value in figures.items()])


def story(config: TrainConfig, figures: Mapping[str, float]) -> str:
    """The run in a few sentences."""
    tasks = ", ".join(sorted({task.env for task in config.tasks}))
    warm = config.warm_start
    start = f"after {warm.steps} steps of imitating demonstrations" if warm.steps else "as it came"
    return (
        f"A language model learned {tasks} by reinforcement with {config.algorithm.title}. It began {start}, where it "
        f"solved {figures['accuracy_before']:.1%} of held-out tasks, and ended at {figures['accuracy_after']:.1%}."
    )
