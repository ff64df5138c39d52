"""Model, engine, learner and the whole job on each device that this machine has, against sums in float64 on the CPU."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from learner_models import decoder, gradients, rollouts
from rl_runs import config, finish, start, trace
from torch import Tensor

from espalier.engine.api import Completion, Sampling
from espalier.engine.local import LocalEngine
from espalier.engine.updates import TensorUpdate
from espalier.lm.attention import PackedAttention, packed_positions
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.logits import logprobs
from espalier.lm.lora import inject
from espalier.rl.algorithms.table import algorithm
from espalier.rl.learner.config import CriticConfig, LearnerConfig, OptimConfig
from espalier.rl.learner.critic import Critic
from espalier.rl.learner.learner import TorchLearner

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
FAMILIES = ["qwen3", "qwen2", "glm4", "glm4_moe"]
CLOSE = 1e-5
ROWS = [[1, 5, 2, 7, 3], [4, 4, 9], [11, 3, 3, 8, 2, 2, 17]]


def scores(model: Decoder, rows: list[list[int]]) -> list[Tensor]:
    """Log-probs of the tokens of each row but the first, in the precision and on the device of `model`."""
    device, lengths = next(model.parameters()).device, [len(row) for row in rows]
    ids = torch.tensor([token for row in rows for token in row], device=device)
    hidden = model(ids, packed_positions(lengths, device), PackedAttention(lengths, device))
    found, _ = logprobs(model, hidden[:-1], ids[1:])
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return [found[end - n : end - 1].detach().cpu().double() for end, n in zip(ends, lengths, strict=True)]


def exact(model: Decoder, rows: list[list[int]]) -> list[Tensor]:
    with torch.no_grad():
        return scores(copy.deepcopy(model).cpu().double(), rows)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("family", FAMILIES)
def test_logprobs_of_a_decoder(device: str, family: str) -> None:
    model = decoder(family=family)
    for one, other in zip(scores(copy.deepcopy(model).to(device), ROWS), exact(model, ROWS), strict=True):
        assert torch.allclose(one, other, atol=CLOSE, rtol=CLOSE)


async def _sampled(engine: LocalEngine, prompts: list[list[int]], sampling: Sampling) -> list[Completion]:
    return list(await asyncio.gather(*(engine.generate(prompt, sampling) for prompt in prompts)))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_engine_samples_with_the_logprobs_of_the_model(device: str, family: str) -> None:
    model = decoder(family=family)
    engine = LocalEngine(copy.deepcopy(model).to(device), max_rows=4, max_len=48, prefill_tokens=8)
    found = asyncio.run(_sampled(engine, [*ROWS, ROWS[0]], Sampling(max_tokens=9, seed=5)))
    for prompt, completion in zip([*ROWS, ROWS[0]], found, strict=True):
        (wanted,) = exact(model, [prompt + completion.tokens])
        assert len(completion.tokens) == 9
        assert completion.logprobs == pytest.approx(wanted[len(prompt) - 1 :].tolist(), abs=CLOSE)
    assert found[0].tokens == found[3].tokens


@pytest.mark.parametrize("device", DEVICES)
def test_the_engine_takes_weights_while_it_samples(device: str) -> None:
    engine = LocalEngine(decoder().to(device), max_rows=4, max_len=48, weights="copy")
    new = decoder(seed=1)

    async def main() -> tuple[list[Completion], Completion]:
        running = asyncio.create_task(_sampled(engine, ROWS, Sampling(max_tokens=30, seed=2)))
        while (await engine.stats()).sampled_tokens < 20:
            await asyncio.sleep(0)
        await engine.publish(TensorUpdate(1, {name: p.detach() for name, p in new.named_parameters()}), "abort")
        return await running, await engine.generate(ROWS[0], Sampling(max_tokens=6, seed=2))

    cut, later = asyncio.run(main())
    assert {completion.finish for completion in cut} == {"abort"}
    (wanted,) = exact(new, [ROWS[0] + later.tokens])
    assert later.logprobs == pytest.approx(wanted[len(ROWS[0]) - 1 :].tolist(), abs=CLOSE)


LEARNERS: dict[str, dict[str, Any]] = {
    "grpo": {"algorithm": "grpo", "config": LearnerConfig(tokens_per_microbatch=60)},
    "ppo": {"algorithm": "ppo", "config": LearnerConfig(critic=CriticConfig(), updates_per_step=2)},
    "muon": {"algorithm": "grpo", "config": LearnerConfig(optim=OptimConfig(name="muon"), reference="ema")},
    "recompute": {"algorithm": "gspo", "config": LearnerConfig(recompute_activations=True)},
}


def learner(model: Decoder, name: str) -> TorchLearner:
    chosen = LEARNERS[name]
    critic = Critic.beside(model).to(next(model.parameters()).dtype) if chosen["config"].critic else None
    return TorchLearner(model, chosen["config"], algorithm(chosen["algorithm"]), critic=critic, seed=0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("adapted", [False, True])
def test_gradients_of_an_update(device: str, name: str, adapted: bool) -> None:
    model = decoder()
    if adapted:
        inject(model, LoraConfig(rank=2))
    ours, _ = gradients(learner(copy.deepcopy(model).to(device), name), rollouts())
    theirs, _ = gradients(learner(copy.deepcopy(model).double(), name), rollouts())
    size = max(float(tensor.abs().max()) for tensor in theirs.values())
    for key, gradient in theirs.items():
        assert float((ours[key].cpu().double() - gradient).abs().max()) <= 2 * CLOSE * size, key


@pytest.mark.parametrize("device", DEVICES)
def test_a_checkpoint_goes_on_with_the_same_bits(device: str, tmp_path: Path) -> None:
    one, other = (learner(decoder().to(device), "muon") for _ in range(2))
    gradients(one, rollouts(0))
    asyncio.run(one.save(tmp_path))
    asyncio.run(other.load(tmp_path))
    for (name, a), b in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert all(torch.equal(value, other._optimizer.state()[name]) for name, value in one._optimizer.state().items())


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("lag", [0, 1])
def test_a_whole_run(device: str, lag: int, tmp_path: Path) -> None:
    settings = config(rollout={"groups_per_step": 8, "samples_per_group": 8, "max_tokens": 16, "max_lag": lag}, steps=2)
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"device": device})})
    run = start(tmp_path, settings)
    figures = finish(run, settings)
    logged = trace(run.path)
    assert 0.0 <= figures["accuracy_after"] <= 1.0
    if not lag:  # with a lag, answers go on after a publish with the keys and values of the weights before it
        assert max(value for _, name, value in logged if name == "mismatch/0/abs") < CLOSE
    ce = [value for _, name, value in logged if name == "loss/ce"]
    assert ce[-1] < 0.8 * ce[0]
