"""Builds objects from a config. Only this module knows which class implements which part."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from espalier.core.run.run import Run
from espalier.core.seed import derive
from espalier.core.tracking.spans import TRACE, Spans
from espalier.engine.api import Engine
from espalier.engine.build import check_capabilities
from espalier.engine.channels.api import Channel
from espalier.engine.config import EngineConfig
from espalier.envs.api import TaskSet
from espalier.envs.build import build_tasks
from espalier.envs.workers.worker import Worker
from espalier.lm.build import LanguageModel, build
from espalier.rewards.rubric import Rubric
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.browse import Browser
from espalier.rl.config import EvaluationConfig, SFTConfig, TrainConfig
from espalier.rl.demonstrations import Demonstrations, sample_texts
from espalier.rl.eval_config import EvalConfig
from espalier.rl.learner.api import Learner
from espalier.rl.learner.config import LearnerConfig
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.learner.ranks.crew import Crew
from espalier.rl.loop.budgets import Budgets
from espalier.rl.loop.evaluate import Evaluations, Evaluator
from espalier.rl.loop.publish import Publisher
from espalier.rl.loop.record.rollout_log import RolloutLog
from espalier.rl.loop.source import heldout
from espalier.rl.processes import answerer, cluster_of, crew, engine
from espalier.rl.report import ROLLOUTS
from espalier.rl.rollout.api import Player
from espalier.rl.rollout.attempts import Attempts
from espalier.rl.rollout.config import CutConfig, RolloutConfig
from espalier.rl.rollout.forcing import Forcing
from espalier.rl.rollout.groups import GroupPlayer
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.rollout.notices import Notices
from espalier.rl.rollout.tree.search import TreePlayer
from espalier.rl.rollout.under_way import UnderWay
from espalier.rl.room import check_room, prompt_lengths

if TYPE_CHECKING:
    from espalier.rl.cluster.on_ray import OnRay

TOKENIZER_TASKS = 2000
"""Number of training tasks whose texts are used to build a tokenizer."""
TOOL_TASKS = 64
"""Number of training tasks whose tools are checked against the chat format."""


@dataclass(slots=True)
class Setting:
    """The objects that jobs share: a model, the tasks, the rubric and an engine."""

    language: LanguageModel
    tasks: TaskSet
    rubric: Rubric
    held: Rubric
    """The rubric of evaluations, so that a reward with state does not learn in training what it saw in them."""
    engine: Engine
    channel: Channel
    seed: int
    notices: Notices
    correct_above: float
    """See `EvaluationConfig`."""
    answerer: Engine | None = None
    """Who answers from thoughts that were cut, where it is not the policy."""
    probes: TaskSet | None = None
    crew: Crew | None = None
    """The processes of the learner, where it has any of its own."""
    cluster: OnRay | None = None
    under_way: UnderWay = field(default_factory=UnderWay)
    """The attempts of all its players."""
    spans: Spans | None = None
    """The timeline, where the run is traced."""

    def player(
        self,
        rollout: RolloutConfig,
        purpose: str,
        algorithm: Algorithm | None = None,
        in_flight: InFlight | None = None,
    ) -> Player:
        """A player whose random numbers are named by `purpose`; with `algorithm`, its groups are fit for training, and
        are those of a tree search where that is configured. `in_flight` counts its attempts.
        """
        attempts = self.attempts(rollout, purpose, algorithm, in_flight)
        if algorithm and rollout.tree:
            return TreePlayer(attempts, rollout.tree, self.language.tokenizer.pieces, correct_above=self.correct_above)
        least = 1 if algorithm and not algorithm.needs_group else 2
        return GroupPlayer(attempts, least=least, pad=algorithm is not None and rollout.pad_groups)

    def attempts(
        self,
        rollout: RolloutConfig,
        purpose: str,
        algorithm: Algorithm | None = None,
        in_flight: InFlight | None = None,
    ) -> Attempts:
        """What players make their groups of; see `player`."""
        return Attempts(
            self.engine,
            self.language.renderer,
            self.tasks,
            self.rubric if algorithm else self.held,
            rollout,
            overlong=round(algorithm.overlong * rollout.max_tokens) if algorithm else 0,
            rounds=algorithm is not None and not (rollout.overlap or rollout.max_in_flight),
            seed=derive(self.seed, purpose),
            in_flight=in_flight,
            under_way=self.under_way,
            notices=self.notices,
            forcing=self._forcing(rollout.forcing),
        )

    def _forcing(self, config: CutConfig | None) -> Forcing | None:
        return Forcing.of(config, self.language.tokenizer) if config else None

    async def check_room(self, rollout: RolloutConfig, say: Callable[[str], None]) -> None:
        """Raises ConfigError if prompts and answers do not fit in the engine; prints a message if only some do not
        fit.
        """
        forcing = self._forcing(rollout.forcing)
        needed = rollout.max_tokens + (len(forcing.ids) if forcing else 0)
        for tasks in (self.tasks, *([self.probes] if self.probes else [])):
            lengths = await prompt_lengths(tasks, self.language.renderer, seconds=rollout.env_seconds)
            if line := check_room(lengths, max_tokens=needed, max_len=self.engine.max_len):
                say(line)
            if rollout.max_turns == 1 and tasks.tools(tasks.task("train", 0)):
                say("warning: the tasks offer tools, and rollout.max_turns=1 ends an attempt with its first call")

    def publisher(self, learner: Learner, rollout: RolloutConfig, engine: EngineConfig) -> Publisher:
        """Publishes the weights of `learner`."""
        tolerance = None if engine.kind == "local" else engine.tolerance
        return Publisher(self.engine, learner, self.channel, _pause(rollout), tolerance)

    def check_engine(self, rollout: RolloutConfig, engine: EngineConfig) -> None:
        """Raises ConfigError if the engine cannot do what publishing to it needs."""
        check_capabilities(self.engine, self.channel, pause=_pause(rollout), probe=engine.kind != "local")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """End engines and free shared memory at the end of the block."""
        try:
            yield
        finally:
            await self.engine.close()
            if self.answerer is not None:
                await self.answerer.close()
            self.channel.close()
            if self.crew is not None:
                await self.crew.close()
            if self.cluster is not None:
                self.cluster.close()

    @property
    def ranks(self) -> int:
        """Processes of the learner."""
        return self.crew.size if self.crew is not None else 1

    async def learner(
        self,
        config: LearnerConfig,
        algorithm: Algorithm,
        purpose: str,
        *,
        temperature: float = 1.0,
        skip_idle: bool = False,
    ) -> Learner:
        """A learner of the model, whose random numbers are named by `purpose`; see `TorchLearner`."""
        model, seed = self.language.decoder, derive(self.seed, purpose)
        if self.crew is None:
            return TorchLearner(model, config, algorithm, temperature=temperature, skip_idle=skip_idle, seed=seed)
        from espalier.rl.learner.ranks.learner import DistributedLearner

        return await DistributedLearner.start(
            model, config, algorithm, self.crew, temperature=temperature, skip_idle=skip_idle, seed=seed
        )

    def demonstrations(self, cut: CutConfig | None = None) -> Demonstrations:
        """Demonstrations for the training tasks; `cut` as in `SFTConfig.cut`."""
        seed = derive(self.seed, "demonstrations")
        return Demonstrations(self.tasks, self.language.renderer, self.notices, seed=seed, cut=self._forcing(cut))

    def evaluator(self, rollout: RolloutConfig, config: EvaluationConfig, ks: Sequence[int] = ()) -> Evaluations:
        """The held-out evaluation and its further measurements; `ks` are those of pass@k."""
        greedy = config.model_copy(update={"temperature": 0.0, "samples": 1})

        def over(tasks: TaskSet, config: EvaluationConfig, prefix: str, ks: Sequence[int] = ()) -> Evaluator:
            purpose = "evaluation" if prefix == "eval" else prefix
            limits = rollout.untruncated(temperature=config.temperature, forcing=config.forcing)
            player = replace(self, tasks=tasks).player(limits, purpose)
            return Evaluator(player, list(heldout(tasks, config.tasks)), config, ks, prefix=prefix)

        others = {"greedy": over(self.tasks, greedy, "greedy")} if config.greedy else {}
        if self.probes:
            others["probe"] = over(self.probes, config, "probe")
            if config.greedy:
                others["probe_greedy"] = over(self.probes, greedy, "probe_greedy")
        return Evaluations(over(self.tasks, config, "eval", ks), others, self._budgets(rollout, config))

    def _budgets(self, rollout: RolloutConfig, config: EvaluationConfig) -> Budgets | None:
        if config.budgets is None:
            return None
        forcing = Forcing.of(config.budgets, self.language.tokenizer)
        limits = rollout.untruncated(temperature=0.0, forcing=None, max_tokens=forcing.answer)
        attempts = replace(self, engine=self.answerer or self.engine).attempts(limits, "budgets")
        return Budgets(attempts, forcing, config.budgets.tokens, correct_above=config.correct_above)

    def browser(self, config: TrainConfig, folder: Path) -> Browser:
        """Shows samples of held-out tasks."""
        return Browser(
            self.player(config.rollout.model_copy(update={"forcing": config.evaluation.forcing}), "browser"),
            list(heldout(self.tasks, config.evaluation.browse)),
            config.algorithm,
            self.language.tokenizer,
            folder,
            correct_above=config.evaluation.correct_above,
        )

    def rollout_log(self, config: TrainConfig, run: Run) -> RolloutLog:
        """Keeps answers of training for the report."""
        return RolloutLog(
            run.artefact(ROLLOUTS),
            config.rollout_log,
            config.algorithm,
            self.language.tokenizer.decode,
            run.say,
            correct_above=config.evaluation.correct_above,
        )


def _pause(rollout: RolloutConfig) -> Literal["abort", "keep"]:
    """How answers are paused by a publish."""
    return "abort" if rollout.after_publish == "recompute" else "keep"


def setting(config: TrainConfig | SFTConfig | EvalConfig, run: Run) -> Setting:
    """Build tasks, model and engine. Equal configs and seeds give equal objects."""
    torch.manual_seed(derive(run.seed, "torch"))
    cluster = None if isinstance(config, EvalConfig) else cluster_of(config, run.say)
    try:
        return _on(cluster, config, run)
    except BaseException:
        if cluster is not None:
            cluster.close()
        raise


def _on(cluster: OnRay | None, config: TrainConfig | SFTConfig | EvalConfig, run: Run) -> Setting:
    start = Worker if cluster is None else cluster.worker
    sets = partial(build_tasks, data=run.data, say=run.say, start=start)
    tasks, probes = sets(config.tasks, seed=derive(run.seed, "tasks")), config.evaluation.probes
    texts = sample_texts(tasks, TOKENIZER_TASKS, seed=derive(run.seed, "texts"))
    language = build(config.model, seed=run.seed, texts=texts)
    for index in range(TOOL_TASKS):
        language.renderer.check_tools(tasks.tools(tasks.task("train", index)))
    rubric = partial(Rubric, config.rewards, verdict=config.evaluation.component, vetoes=config.evaluation.vetoes)
    spans = None
    if isinstance(config, TrainConfig) and config.trace:
        spans = Spans(run.artefact(TRACE), run.name, clock=lambda: run.seconds, say=run.say)
    return Setting(
        language,
        tasks,
        rubric(),
        rubric(),
        *engine(cluster, config, language.decoder, run),
        run.seed,
        Notices(run.say),
        config.evaluation.correct_above,
        answerer(config, language),
        sets(list(probes), seed=derive(run.seed, "probes")) if probes else None,
        None if isinstance(config, EvalConfig) else crew(cluster, config.model),
        cluster,
        UnderWay(spans),
        spans,
    )
