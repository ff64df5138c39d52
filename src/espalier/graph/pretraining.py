"""The job `graph.pretrain`: train a method for one or more seeds, evaluate it, plot the embeddings, export the
encoder.
"""

from __future__ import annotations

from time import monotonic

from espalier.core.report.blocks import Block, Curves, Image, Table
from espalier.core.run.checkpoints import Checkpoints
from espalier.core.run.pieces import has_piece, read_piece, write_piece
from espalier.core.run.run import Run
from espalier.graph.config import PretrainConfig
from espalier.graph.experiment import TRAINS_NOTHING, Experiment
from espalier.graph.picture import draw_map
from espalier.graph.tasks.statistics import summary
from espalier.graph.train.checkpoint import restore, save

LOGGED = 200
"""Number of points in the loss curve of one seed."""
KEPT = 2
"""Number of newest checkpoints of a trainer to keep."""


def pretrain(config: PretrainConfig, run: Run) -> dict[str, float]:
    """Run each seed in turn. A finished seed is saved with its results, the current one with its checkpoint."""
    results: list[dict[str, float]] = []
    for number in range(config.seeds):
        done = run.checkpoints / f"seed-{run.seed + number}.json"
        if has_piece(done, run.say):
            results.append(read_piece(done))
            continue
        experiment = Experiment.prepare(config, run.seed + number, root=run.data)
        if number == 0:
            run.say(str(experiment.graph))
            weights = sum(p.numel() for p in experiment.method.parameters() if p.requires_grad)
            run.say(f"{config.method.name}: {weights:,} trained parameters, {config.fit.epochs} epochs")
        if not _trained(experiment, run, number):
            return {}
        found = experiment.evaluate()
        results.append(found)
        run.say(f"seed {run.seed + number}: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
        if number == 0:
            experiment.encoder.save(run.artefact("encoder"), found)
            if config.map != "none" and experiment.graph.y is not None:
                draw_map(experiment.embeddings(), experiment.graph.y, config.map, run.artefact("map.png"))
        run.checkpoints.mkdir(exist_ok=True)
        write_piece(done, found)
    run.report(_report(config, run, results))
    figures = {name: summary([result[name] for result in results]) for name in results[0]}
    spread = {"score_std": figures["score"].std} if len(results) > 1 else {}
    return {name: value.mean for name, value in figures.items()} | spread


def _trained(experiment: Experiment, run: Run, number: int) -> bool:
    """Train to the end, unless the user wants to stop. Metrics are logged before the checkpoint that covers them."""
    config, trainer = experiment.config, experiment.trainer
    if config.method.name in TRAINS_NOTHING:
        return True
    checkpoints = Checkpoints(run.checkpoints, keep=KEPT, say=run.say)
    base = number * config.fit.epochs
    if run.resumed and restore(trainer, checkpoints, experiment.seed):
        run.say(f"going on with seed {experiment.seed} from epoch {trainer.epoch}")
    if run.resumed:
        run.metrics.rewind(base + trainer.epoch)
    every, saved = max(config.fit.epochs // LOGGED, 1), monotonic()
    with run.progress(config.fit.epochs, f"{config.method.name} on {experiment.graph.name}") as progress:

        def after_epoch(epoch: int, loss: float) -> bool:
            nonlocal saved
            if epoch % every == 0 or trainer.done:
                run.metrics.log(base + epoch, {f"loss/seed {experiment.seed}": loss})
            progress.update(epoch, {"loss": loss})
            if run.stop.requested or monotonic() - saved > config.fit.checkpoint_seconds:
                save(trainer, checkpoints, base + epoch, experiment.seed)
                saved = monotonic()
            return run.stop.requested

        trainer.fit(after_epoch)
    return trainer.done


def _report(config: PretrainConfig, run: Run, results: list[dict[str, float]]) -> list[Block]:
    rows = [[run.seed + k, *(100 * value for value in result.values())] for k, result in enumerate(results)]
    if len(results) > 1:
        both = [summary([result[name] for result in results]) for name in results[0]]
        rows += [["mean", *(100 * s.mean for s in both)], ["std", *(100 * s.std for s in both)]]  # type: ignore[list-item]
    title = f"{config.method.name} on {config.data.name}"
    blocks: list[Block] = [
        Table(f"{title}, by {config.evaluate.kind}", ["seed", *results[0]], rows, note="in %"),
        Curves("Loss", ["loss/*"]),
    ]
    if (run.path / "artefacts" / "map.png").exists():
        name = {"umap": "UMAP", "tsne": "t-SNE"}[config.map]
        blocks.append(Image(f"Embeddings by {name}", "artefacts/map.png", note="one dot a node, one colour a class"))
    return blocks
