"""Where the processes of a run are: those of the learner, and the engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from espalier.core import torchrun
from espalier.core.errors import ConfigError, MissingExtraError
from espalier.core.run.run import Run
from espalier.engine.api import Engine
from espalier.engine.build import build_engine
from espalier.engine.channels.api import Channel
from espalier.engine.embedded import embedded
from espalier.lm.build import LanguageModel, build, device_of
from espalier.lm.config import ModelConfig
from espalier.lm.decoder import Decoder
from espalier.rl.config import SFTConfig, TrainConfig
from espalier.rl.eval_config import EvalConfig
from espalier.rl.learner.ranks.crew import Crew

if TYPE_CHECKING:
    from espalier.rl.cluster.on_ray import OnRay


def engine(
    cluster: OnRay | None, config: TrainConfig | SFTConfig | EvalConfig, model: Decoder, run: Run
) -> tuple[Engine, Channel]:
    """The engine with the weights of `model`, and how it gets others."""
    if cluster is not None and config.engine.kind == "process":
        return cluster.engine(model, run.say)
    return build_engine(model, config.engine, overlap=config.rollout.overlap, say=run.say, logs=run.path / "engines")


def cluster_of(config: TrainConfig | SFTConfig, say: Callable[[str], None]) -> OnRay | None:
    """The Ray cluster, if the config asks for one. Raises ConfigError if it has no room for the run."""
    if config.cluster.kind == "local":
        return None
    if torchrun.size() > 1:
        raise ConfigError("cluster.kind=ray starts the ranks of the learner: run it without torchrun")
    try:
        from espalier.rl.cluster.on_ray import OnRay
    except ImportError as error:
        raise MissingExtraError("ray", "cluster") from error
    return OnRay(config.cluster, config.engine, [*config.tasks, *config.evaluation.probes], say)


def crew(cluster: OnRay | None, model: ModelConfig) -> Crew | None:
    """The ranks of the learner, if they are processes of their own."""
    if cluster is not None:
        return cluster.crew()
    if torchrun.size() == 1:
        return None
    from espalier.rl.learner.ranks.torchrun import lead

    return lead(device_of(model))


def follow(config: TrainConfig | SFTConfig) -> None:
    """What the other ranks of torchrun do: what the first tells them, until it has no more to do."""
    from espalier.rl.learner.ranks.torchrun import obey

    obey(device_of(config.model))


def answerer(config: TrainConfig | SFTConfig | EvalConfig, language: LanguageModel) -> Engine | None:
    """The engine of the model that answers from thoughts that were cut. Raises ConfigError if its tokens are others."""
    budgets = config.evaluation.budgets
    if budgets is None or budgets.answerer is None:
        return None
    found = build(config.model.model_copy(update={"pretrained": budgets.answerer, "lora": None}), seed=0)
    if not found.tokenizer.same_tokens(language.tokenizer):
        raise ConfigError(
            f"evaluation.budgets.answerer: the tokenizer of {budgets.answerer} has other tokens than the policy's"
        )
    return embedded(found.decoder, config.engine)
