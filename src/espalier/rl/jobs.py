"""The jobs of reinforcement learning, for the command line."""

from __future__ import annotations

from espalier.core.job import Job, JobFunction
from espalier.rl.config import SFTConfig, TrainConfig
from espalier.rl.eval_config import EvalConfig


def _train() -> JobFunction:
    from espalier.rl.train import train

    return train


def _sft() -> JobFunction:
    from espalier.rl.sft import sft

    return sft


def _evaluate() -> JobFunction:
    from espalier.rl.measure import measure

    return measure


JOBS: tuple[Job, ...] = (
    Job("rl.train", "post-train a language model with reinforcement learning", TrainConfig, _train),
    Job("rl.sft", "fine-tune a language model on demonstrations", SFTConfig, _sft),
    Job("rl.eval", "measure a language model on held-out tasks", EvalConfig, _evaluate),
)
