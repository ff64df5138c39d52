"""The job `graph.align`: one encoder for many graphs, compared with one encoder per graph, with seeds and intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from espalier.core.report.blocks import Block, Curves, Number, Table
from espalier.core.run.pieces import has_piece, read_piece, write_piece
from espalier.core.run.run import Run
from espalier.core.study.stats import paired
from espalier.graph.align.batches import Mixture
from espalier.graph.align.config import AlignConfig
from espalier.graph.align.features import centred, hashed_text, project_words, sentence_transformer, with_features
from espalier.graph.align.knowledge import KnowledgeGraph, read_codex
from espalier.graph.data.graph import Graph
from espalier.graph.data.load import load
from espalier.graph.methods.api import Method
from espalier.graph.methods.build import build_method
from espalier.graph.ops.features import dense
from espalier.graph.preparation import split
from espalier.graph.sampling.clusters import Clusters
from espalier.graph.tasks.evaluate import judge
from espalier.graph.tasks.fewshot import few_shot
from espalier.graph.tasks.statistics import summary
from espalier.graph.train.batches import Batches
from espalier.graph.train.fit import Trainer

Embed = Callable[[Graph], Tensor]

Scores = dict[str, dict[str, float]]
"""By encoder, by figure."""

ALIGNED, VANILLA, ALONE, RANDOM, RAW = "joint, aligned", "joint, not aligned", "one encoder each", "random", "features"


def align(config: AlignConfig, run: Run) -> dict[str, float]:
    """Each seed trains every encoder; the results of a finished seed are saved, and a resumed run skips it."""
    graphs = [project_words(load(s.data.name, root=run.data, normalise="none"), config.dim) for s in config.sources]
    known = read_codex(run.data.file(config.triples), run.data.file(config.texts))
    encode = hashed_text(config.dim) if config.text_encoder == "hashed" else sentence_transformer(config.text_encoder)
    unseen = with_features(Graph(known.adj, torch.empty(len(known.texts), 0), name="unseen"), encode(known.texts))
    results: list[Scores] = []
    run.checkpoints.mkdir(exist_ok=True)
    for seed in range(run.seed, run.seed + config.seeds):
        done = run.checkpoints / f"seed-{seed}.json"
        if not has_piece(done, run.say):
            found = _seed(config, run, seed, graphs, unseen, known)
            if run.stop.requested:
                return {}
            write_piece(done, found)
        results.append(read_piece(done))
        run.report(_report(results))
    names = results[0][ALIGNED]
    return {f"{who}: {name}": _mean(results, who, name) for who in results[0] for name in names}


def _seed(
    config: AlignConfig, run: Run, seed: int, graphs: list[Graph], unseen: Graph, known: KnowledgeGraph
) -> Scores:
    middle = [centred(graph) for graph in graphs]
    fixed = config.method.model_copy(update={"encoder": config.method.encoder.model_copy(update={"experts": 0})})
    judged = [replace(g, splits=split(g, s.data, seed)) for g, s in zip(graphs, config.sources, strict=True)]

    def figures(models: list[Embed], sources: list[Graph], other: Graph) -> dict[str, float]:
        """`models`: one for each source graph. Their scores on the unseen graph are averaged."""
        out = {}
        for embed, graph, target, source in zip(models, sources, judged, config.sources, strict=True):
            out[graph.name] = judge(source.evaluate, embed(graph), target, seed)["score"]
        few = config.few_shot
        codes = [embed(other) for embed in dict.fromkeys(models)]
        for shots in few.shots:
            hits = [
                few_shot(
                    torch.cat([z[known.pairs[0]], z[known.pairs[1]]], 1),
                    known.relation,
                    ways=few.ways,
                    shots=shots,
                    queries=few.queries,
                    episodes=few.episodes,
                    seed=seed,
                ).mean()
                for z in codes
            ]
            out[f"unseen, {shots}-shot"] = float(torch.stack(hits).mean())
        return out

    def train(sources: list[Graph], method: Any, title: str) -> Method:
        clusters = tuple(Clusters(graph, config.fit.batch_size, config.context) for graph in sources)
        weights = tuple(s.weight for s in config.sources) if len(sources) > 1 else (1.0,)
        batches: Batches = Mixture(clusters, weights, config.fit.batch_size)
        model = build_method(method, config.dim, seed=seed)
        trainer = Trainer(model, batches, config.fit, seed)
        with run.progress(config.fit.epochs, f"seed {seed}: {title}") as progress:

            def after_epoch(epoch: int, loss: float) -> bool:
                run.metrics.log(seed * config.fit.epochs + epoch, {f"loss/{title}": loss})
                progress.update(epoch, {"loss": loss})
                return run.stop.requested

            trainer.fit(after_epoch)
        return model

    aligned, vanilla = train(middle, config.method, ALIGNED), train(graphs, fixed, VANILLA)
    untrained = build_method(config.method, config.dim, seed=seed)
    alone = [train([graph], fixed, graph.name) for graph in middle]
    centre, n = centred(unseen), len(graphs)
    return {
        ALIGNED: figures([aligned.embed] * n, middle, centre),
        VANILLA: figures([vanilla.embed] * n, graphs, unseen),
        ALONE: figures([model.embed for model in alone], middle, centre),
        RANDOM: figures([untrained.embed] * n, middle, centre),
        RAW: figures([_features] * n, middle, centre),
    }


def _features(graph: Graph) -> Tensor:
    return dense(graph.x)


def _mean(results: list[Scores], who: str, name: str) -> float:
    return summary([result[who][name] for result in results]).mean


def _report(results: list[Scores]) -> list[Block]:
    names = list(results[0][ALIGNED])
    rows: list[list[str | Number]] = []
    for who in results[0]:
        cells = []
        for name in names:
            values = [result[who][name] for result in results]
            text = str(summary(values))
            if who != ALIGNED and len(results) > 1:
                gap = paired([100 * result[ALIGNED][name] for result in results], [100 * value for value in values])
                text += f" ({gap.value:+.2f}: {gap.low:+.2f} to {gap.high:+.2f})"
            cells.append(text)
        rows.append([who, *cells])
    note = f"accuracy in % over {len(results)} seeds; in brackets the aligned encoder's lead and its 95% interval"
    return [Table("One encoder for many graphs", ["", *names], rows, wide=True, note=note), Curves("Loss", ["loss/*"])]
