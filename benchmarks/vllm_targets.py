"""Does vLLM's real CPU server keep what the engine over it promises? Each promise has a control that must break it.

Log-probs against the learner's; publishes, checked by their probe, also while a request runs, and their time; two
versions of adapters at once; cancelled and aborted requests; requests that are too long. Two models: a random one of
0.7 million parameters, and SmolLM2-135M, which `espalier data fetch smollm2-135m` brings. Four servers, one after the
other, each on one core, from the environment that `make vllm` makes.

The column *peer* is the limit, and *ratio* how many times better than it; for a control, how many times beyond it.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from dataclasses import replace

import torch

from common import Row, arguments, finish
from espalier.core.errors import EngineError
from espalier.engine.api import Sampling
from espalier.engine.channels.disk import Disk
from espalier.engine.http.vllm import VllmDialect
from espalier.engine.probe import check
from espalier.engine.updates import TensorUpdate
from espalier.lm.build import LanguageModel
from espalier.lm.decoder import Decoder
from espalier.rl.learner.stages import sequence_logprobs
from vllm_targets_server import (
    CORES,
    EMBEDDING,
    MAX_LEN,
    NOTHING,
    PROMPT,
    PYTHON,
    SECONDS,
    Served,
    checksums,
    differing,
    dropped,
    furthest,
    headed,
    joined,
    off,
    perturbed,
    probe,
    rejected,
    serving,
    smollm2,
    tensors,
    tiny,
    unlike,
    untrue,
    with_adapters,
)

TEXTS = ["The capital of France is", "Once upon a time there was", "To make bread one needs", "The sum of 2 and 3 is"]
SAMPLED = 32
CLOSE = 1e-4
"""Largest difference of log-probs in fp32; with adapters a tenth of it."""
APART = 0.1
"""Smallest difference from the adapters of another version."""
LONG = 300
"""Tokens of the request that runs during a publish."""
LONGER = 1000
"""Tokens of a request that is not meant to end by itself."""


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    args = parser.parse_args()
    if not PYTHON.exists():
        parser.error(f"there is no {PYTHON}: run `make vllm`")
    torch.set_num_threads(CORES.learner)
    rows = asyncio.run(measure(3 if args.quick else 7))
    return finish("vLLM's CPU server", rows, args, ("torch", "espalier"), spread="min-max")


async def measure(repeats: int) -> list[Row]:
    """All rows. repeats: of what is timed."""
    language = smollm2()
    async with serving(language.decoder) as served:
        note = f"{len(TEXTS)} prompts, {SAMPLED} sampled tokens each"
        value = await exact(served, language)
        parity = [at_most("log-probs off the learner's, SmolLM2, fp32", value, CLOSE, "nats", note=note)]
        other = perturbed(language.decoder)
        pauses = [await paused("SmolLM2, fp32", served, [other, language.decoder], 1.0, repeats)]
    async with serving(language.decoder, dtype="bfloat16") as served:
        parity.append(at_least("control: a server in bf16", await exact(served, language), CLOSE, "nats"))
    del language, other
    async with serving(tiny(0)) as served:
        publishes = [await published(served)]
        flight = await in_flight(served)
        pauses.insert(0, await paused("tiny", served, [tiny(1), tiny(2)], 0.25, repeats))
        requests = [await cancelled(served, repeats), *await aborted(served), *await too_long(served)]
    async with serving(with_adapters(1)) as served:
        adapters = await two_versions(served)
        publishes += await stock(served)
    return [*parity, *publishes, *flight, *pauses, *adapters, *requests]


def at_most(name: str, value: float, limit: float, unit: str, *, holds: bool = True, note: str = "") -> Row:
    """A value that must not exceed the limit. holds: whether what comes with it is as it must be."""
    return Row(name, value, limit, unit, limit / max(value, 1e-9) if holds else 0.0, 1.0, note=note)


def at_least(name: str, value: float, limit: float, unit: str, *, holds: bool = True, note: str = "") -> Row:
    """A value that must reach the limit, as that of a control."""
    return Row(name, value, limit, unit, value / limit if holds else 0.0, 1.0, note=note)


def timed(name: str, times: list[float], limit: float, *, holds: bool = True, note: str = "") -> Row:
    """The median of some seconds, against the most that is allowed."""
    found, spread = statistics.median(times), (min(times), max(times))
    return Row(name, found, limit, "s", limit / found if holds else 0.0, 1.0, None, spread, note)


async def exact(served: Served, language: LanguageModel) -> float:
    """The largest difference between the log-probs of sampled tokens and the learner's."""
    prompts = [language.tokenizer.encode(text) for text in TEXTS]
    samplings = [Sampling(max_tokens=SAMPLED, seed=seed) for seed in range(len(prompts))]
    done = await asyncio.gather(*map(served.engine.generate, prompts, samplings))
    return unlike(language.decoder, prompts, done)


async def published(served: Served) -> Row:
    """New weights, checked by their probe."""
    model, before = tiny(3), await checksums(served)
    passed = not await rejected(served.engine.publish(served.update(model)))
    changed = differing(before, await checksums(served))
    note = f"{changed} of {len(before)} checksums of the server change"
    value = await off(served.engine, probe(model))
    return at_most("publish: off the new weights", value, CLOSE, "nats", holds=passed, note=note)


async def stock(served: Served) -> list[Row]:
    """The control: a server without our extension, as adapters need none.

    Its own reload leaves an output head as it was if the weights are those of the embedding, and answers 200.
    """
    old, new = tiny(0), tiny(5)
    matrices = tiny(5)
    matrices.get_parameter(EMBEDDING).data.copy_(old.get_parameter(EMBEDDING))
    channel = Disk(new)
    engine = await joined(served.url, VllmDialect(updates=frozenset(("files",)), method="reload_weights"), new)
    before = await checksums(served)
    passed = not await rejected(engine.publish(channel.send(TensorUpdate(1, tensors(matrices), probe(matrices)))))
    moved, after = await off(engine, probe(old)), await checksums(served)
    caught = await rejected(engine.publish(channel.send(TensorUpdate(2, tensors(new), probe(new)))))
    value, mixed = await off(engine, probe(new)), await off(engine, probe(headed(new, old)))
    wrong = untrue(await checksums(served), new)
    await engine.close()
    channel.close()
    note = f"answers 200, and the probe rejects it: {mixed:.2g} nats off the new weights under the old output head"
    rows = [at_least("control: stock server, its reload_weights", value, CLOSE, "nats", holds=caught, note=note)]
    blind = passed and before == after and not wrong
    note = (
        f"{differing(before, after)} of {len(after)} change where the layers' matrices alone are new, since "
        f"{sum(value == NOTHING for value in after.values())} are of no bytes; {wrong} show the old head above"
    )
    return [*rows, at_least("control: new matrices, equal checksums", moved, CLOSE, "nats", holds=blind, note=note)]


async def in_flight(served: Served) -> list[Row]:
    """A publish while a request runs; the control gives the weights a label, and nothing else."""
    old, new, never = tiny(1), tiny(2), tiny(4)
    await served.engine.publish(served.update(old))
    first, update = served.version, served.update(new)
    running = await served.started(LONG, sampled=LONG // 3)
    passed = not await rejected(served.engine.publish(update))
    done = await running
    count, got = done.versions.count(first), len(done.tokens)
    spans = done.versions == [first] * count + [update.version] * (got - count) and 0 < count < got
    expected = sequence_logprobs(old, [[*PROMPT, *done.tokens]])[0][len(PROMPT) :]
    before = furthest([done.raw_logprobs[:count]], [expected[:count]])
    after = furthest([done.raw_logprobs[count:]], [expected[count:]])
    note = (
        f"{count} tokens of the old version, {before:.2g} nats off its weights; {got - count} of the new, {after:.2g}"
    )
    whole = passed and spans and before <= CLOSE < after
    rows = [at_least("publish in flight: tokens of the request", got, LONG, "tokens", holds=whole, note=note)]
    label = served.version + 1
    await served.client.tell("/update_weight_version", {"new_version": str(label)}, seconds=SECONDS)
    caught = await rejected(check(served.engine, probe(never), label))
    said = set((await served.engine.generate(PROMPT, Sampling(max_tokens=4))).versions)
    note = f"the tokens' versions are {said} as the label is, and the probe rejects it"
    value = await off(served.engine, probe(never))
    return [
        *rows,
        at_least("control: the label alone", value, CLOSE, "nats", holds=caught and said == {label}, note=note),
    ]


async def paused(name: str, served: Served, models: list[Decoder], limit: float, repeats: int) -> Row:
    """Seconds from the pause to the end of the resume, with a publish between them, while a request runs."""
    times, engine = list[float](), served.engine
    running = await served.started(LONGER)
    for number in range(1 + repeats):
        update = served.update(models[number % 2])
        if running.done():
            running = await served.started(LONGER)
        begun = time.perf_counter()
        await engine.pause("keep")
        try:
            await engine.load(update)
        finally:
            await engine.resume()
        times.append(time.perf_counter() - begun)
        assert update.probe is not None
        await check(engine, update.probe, update.version)
    await dropped(running)
    return timed(f"pause to resume, {name}", times[1:], limit, note="a request runs; each publish passes its probe")


async def cancelled(served: Served, repeats: int) -> Row:
    """Seconds until a cancelled request is no longer in the running gauge."""
    times, sampled = list[float](), list[int]()
    for seed in range(repeats):
        before = (await served.engine.stats()).sampled_tokens
        running = await served.started(LONGER, seed=seed)
        begun = time.perf_counter()
        await dropped(running)
        await served.until(lambda stats: not stats.running)
        times.append(time.perf_counter() - begun)
        sampled.append((await served.engine.stats()).sampled_tokens - before)
    note = f"at most {max(sampled)} of {LONGER} tokens were sampled; the longest of the times counts"
    row = timed("cancelled: gauge is 0 after", times, 1.0, note=note)
    return replace(row, ours=max(times), ratio=1.0 / max(times) if max(sampled) < LONGER else 0.0)


async def aborted(served: Served) -> list[Row]:
    """An abort by the id that the server gives; the control takes the id that the client gave."""
    running = await served.started(LONGER, request="mine")
    before = (await served.engine.stats()).sampled_tokens
    await served.abort("mine")
    await served.until(lambda stats: stats.sampled_tokens >= before + SAMPLED or not stats.running)
    more, runs = (await served.engine.stats()).sampled_tokens - before, not running.done()
    begun = time.perf_counter()
    await served.abort("generate-tokens-mine")
    await served.until(lambda stats: not stats.running)
    seconds, done = time.perf_counter() - begun, await running
    note = f"{len(done.tokens)} of {LONGER} tokens, finish {done.finish!r}"
    row = timed("abort by the prefixed id: gauge is 0 after", [seconds], 1.0, holds=done.finish == "abort", note=note)
    said = "tokens sampled after it; it answers 200"
    return [row, at_least("control: abort by the raw id", more, SAMPLED, "tokens", holds=runs, note=said)]


async def too_long(served: Served) -> list[Row]:
    """A request for more than fits; the control sends it past our checks."""
    prompt, sampling = [1 + place % 1000 for place in range(MAX_LEN - 4)], Sampling(max_tokens=50)
    before, said = await served.engine.stats(), ""
    try:
        await served.engine.generate(prompt, sampling)
    except EngineError as error:
        said = str(error)
    reached = (await served.engine.stats()).prompt_tokens - before.prompt_tokens
    refused = float(bool(said) and not reached)
    row = Row("over-long request is refused unsent", refused, 1.0, "", refused, 1.0, note=said)
    done = await served.alone(prompt, sampling, "long")
    count, note = len(done.tokens), f"answers 200, with finish {done.finish!r}"
    short = count < sampling.max_tokens
    return [row, at_most("control: the server alone, tokens of 50", count, 49, "tokens", holds=short, note=note)]


async def two_versions(served: Served) -> list[Row]:
    """Adapters of two versions at once: a request goes on with its own while others get the next ones.

    The publish in flight has no probe: vLLM's CPU build ends where it scores a prompt beside other requests with
    adapters. The probe follows when the request has ended.
    """
    models, engine = [with_adapters(1), with_adapters(2)], served.engine
    await engine.publish(served.update(models[0]))
    update = served.update(models[1])
    running = await served.started(LONG)
    await engine.publish(replace(update, probe=None))
    later = await engine.generate(PROMPT, Sampling(max_tokens=SAMPLED, seed=2))
    both, done = not running.done(), [await running, later]
    passed = not await rejected(check(engine, probe(models[1]), update.version))
    tagged = [set(one.versions) for one in done] == [{update.version - 1}, {update.version}]
    own = max(unlike(model, [PROMPT], [one]) for model, one in zip(models, done, strict=True))
    other = min(unlike(model, [PROMPT], [one]) for model, one in zip(reversed(models), done, strict=True))
    note = f"rank 8; {LONG} tokens of the first version, and meanwhile {SAMPLED} of the second"
    holds = passed and both and tagged
    return [
        at_most("two versions of adapters: off their own", own, CLOSE / 10, "nats", holds=holds, note=note),
        at_least("control: off the other's", other, APART, "nats"),
    ]


if __name__ == "__main__":
    sys.exit(main())
