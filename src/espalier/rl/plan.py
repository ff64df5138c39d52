"""The plan of a run in numbers, printed before it starts."""

from __future__ import annotations

from collections.abc import Iterator

from espalier.lm.build import LanguageModel
from espalier.rl.config import TrainConfig


def plan(config: TrainConfig, language: LanguageModel, ranks: int = 1) -> Iterator[str]:
    """Lines about the model, the batch sizes and possible problems. ranks: processes of the learner."""
    shape = language.decoder.config
    parameters = sum(p.numel() for p in language.decoder.parameters())
    trainable = sum(p.numel() for p in language.decoder.parameters() if p.requires_grad)
    yield (
        f"model: {shape.family}, {parameters:,} parameters ({trainable:,} trained), "
        f"{shape.num_hidden_layers} layers of {shape.hidden_size}, {shape.vocab_size} tokens in the vocabulary"
    )
    if ranks > 1:
        yield f"learner: {ranks} ranks, which divide weights, optimizer states and micro-batches (FSDP2)"
    warm = config.warm_start
    if warm.steps:
        yield f"warm start: {warm.steps} steps of {warm.rows_per_step} demonstrations"
    if (every := config.checkpoint.interval(trainable)) > 1:
        yield f"a checkpoint every {every} steps"
    rollout = config.rollout
    rows = rollout.groups_per_step * rollout.samples_per_group
    optimizer_steps = config.learner.updates_per_step * config.learner.epochs
    yield (
        f"{config.algorithm.title}: {config.steps} steps of {rollout.groups_per_step} groups x "
        f"{rollout.samples_per_group} samples = {rows} rows of up to {rollout.max_tokens} tokens, "
        f"{optimizer_steps} optimizer step{'s' if optimizer_steps > 1 else ''} each; "
        f"tokens may lag {rollout.max_lag} versions"
    )
    if rollout.overlap:
        groups = (rollout.max_lag + 1) * rollout.groups_per_step
        limit = f", {rollout.max_in_flight} attempts at a time" if rollout.max_in_flight else ""
        yield f"asynchronous: up to {groups} groups run or wait to be trained{limit}; tokens too old: {rollout.stale}"
    if rollout.truncated:
        yield "warning: top_p, top_k or min_p truncates the sampling of training, which biases the ratio of the loss"
