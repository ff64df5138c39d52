"""Job `rl.search`: how many different right answers tree searches find, and independent attempts at equal tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espalier.core.errors import ConfigError
from espalier.core.report.blocks import Number, Table
from espalier.core.run.run import Run
from espalier.envs.api import Task
from espalier.envs.mixture import sets_of
from espalier.envs.procedural import Question
from espalier.rl.assemble import Setting, setting
from espalier.rl.loop.evaluate import Evaluator
from espalier.rl.loop.source import heldout
from espalier.rl.measure import as_text
from espalier.rl.rollout.api import Player, ScoredGroup
from espalier.rl.rollout.groups import GroupPlayer
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.rollout.tree.search import TreePlayer
from espalier.rl.search_config import SearchConfig
from espalier.rl.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Found:
    """What one method found at one prompt. Of its attempts, in their order: generated tokens, and the solution, in its
    canonical form, or None where the attempt is wrong.
    """

    tokens: list[int]
    solutions: list[str | None]

    def first(self, count: int) -> tuple[int, int]:
        """Tokens of the first `count` attempts, and the number of different solutions among them."""
        return sum(self.tokens[:count]), len(set(self.solutions[:count]) - {None})


def search(config: SearchConfig, run: Run) -> dict[str, float]:
    """Returns, of each method, `NAME_tokens` (generated at a prompt, mean), `NAME_distinct` (different right answers)
    and `NAME_solved` (share of the prompts with a right answer). `NAME_chains_distinct` and `NAME_chains_solved` are
    those of as many independent attempts as have the same tokens in the mean; `NAME_distinct_ratio` and
    `NAME_solved_gain` compare the two.
    """
    return asyncio.run(_search(config, run))


async def _search(config: SearchConfig, run: Run) -> dict[str, float]:
    scene = setting(config, run)
    async with scene.open():
        await scene.check_room(config.rollout, run.say)
        tasks, evaluation = list(heldout(scene.tasks, config.evaluation.tasks)), config.evaluation
        attempts = scene.attempts(config.rollout, "search", in_flight=InFlight(2 * config.engine.max_rows))
        above, pieces = evaluation.correct_above, scene.language.tokenizer.pieces
        players: dict[str, Player] = {
            name: TreePlayer(attempts, tree, pieces, correct_above=above) for name, tree in config.methods.items()
        }
        with run.progress(len(tasks) * (len(players) + 1), "searches") as progress:

            async def play(number: int, player: Player, members: int) -> list[Found]:
                evaluator = Evaluator(player, tasks, evaluation.model_copy(update={"samples": members}))
                groups = await evaluator.play(lambda count: progress.update(number * len(tasks) + count, {}))
                return [_found(scene, group, above) for group in groups]

            chains = await play(0, GroupPlayer(attempts, least=1), config.chains)
            found = {
                name: await play(number, players[name], tree.attempts)
                for number, (name, tree) in enumerate(config.methods.items(), 1)
            }
    figures = {key: value for name in found for key, value in compared(name, found[name], chains).items()}
    table = _table(figures, list(found))
    for line in as_text(table):
        run.say(line)
    run.report([table])
    return figures


def compared(name: str, found: Sequence[Found], chains: Sequence[Found]) -> dict[str, float]:
    """The figures of one method. Raises ConfigError if the chains have fewer tokens in the mean."""
    wholes = [one.first(len(one.tokens)) for one in found]
    tokens = float(np.mean([tokens for tokens, _ in wholes]))
    own = {"distinct": np.mean([n for _, n in wholes]), "solved": np.mean([n > 0 for _, n in wholes])}
    most = max(len(one.tokens) for one in chains)
    curve = [[one.first(count) for one in chains] for count in range(most + 1)]
    spent = [float(np.mean([tokens for tokens, _ in point])) for point in curve]
    if tokens > spent[-1]:
        raise ConfigError(
            f"the search {name} generates {tokens:.0f} tokens at a prompt, and {most} chains {spent[-1]:.0f}: "
            "raise chains"
        )
    theirs = {
        "distinct": np.interp(tokens, spent, [np.mean([n for _, n in point]) for point in curve]),
        "solved": np.interp(tokens, spent, [np.mean([n > 0 for _, n in point]) for point in curve]),
    }
    figures = {f"{name}_tokens": tokens} | {f"{name}_{key}": float(value) for key, value in own.items()}
    figures |= {f"{name}_chains_{key}": float(value) for key, value in theirs.items()}
    figures[f"{name}_distinct_ratio"] = float(own["distinct"] / theirs["distinct"]) if theirs["distinct"] else 0.0
    figures[f"{name}_solved_gain"] = float(own["solved"] - theirs["solved"])
    return figures


def _found(scene: Setting, group: ScoredGroup, above: float) -> Found:
    rows = sorted(group.judged, key=lambda row: row.member)
    solutions = [_solution(scene, group.task, row) if row.is_right(above) else None for row in rows]
    return Found([row.own for row in rows], solutions)


def _solution(scene: Setting, task: Task, row: Trajectory) -> str:
    """The canonical form of a right row's last turn."""
    response = scene.language.renderer.parse(row.tokens[row.turns[-1].start :]).content
    tasks = sets_of(scene.tasks)[task.env]
    return tasks.solution(task, response) if isinstance(tasks, Question) else response.strip()


def _table(figures: dict[str, float], names: Sequence[str]) -> Table:
    columns = ["tokens", "distinct", "chains_distinct", "distinct_ratio", "solved", "chains_solved", "solved_gain"]
    rows: list[list[str | Number]] = [
        [name, *(round(figures[f"{name}_{column}"], 3) for column in columns)] for name in names
    ]
    heads = ["search", *(column.replace("_", " ") for column in columns)]
    return Table("Searches and chains at equal tokens", heads, rows, wide=True)
