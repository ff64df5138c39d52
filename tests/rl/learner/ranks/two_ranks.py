"""Started by torchrun, this on each rank: `two_ranks.py CASE FOLDER`. Rank 0 writes what it finds to result.json.

Each case compares a learner of two ranks with one of a single process.
"""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from learner_models import decoder, demonstrations, rollouts
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from espalier.core import torchrun
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import inject
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.table import algorithm
from espalier.rl.learner import checkpoint
from espalier.rl.learner.config import CriticConfig, LearnerConfig, OptimConfig
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.learner.optimizer.optim import Optimizer
from espalier.rl.learner.ranks.commands import Load, Save, Update, build_of
from espalier.rl.learner.ranks.rank import Rank
from espalier.rl.learner.ranks.tensors import whole
from espalier.rl.learner.ranks.torchrun import join
from espalier.rl.unit import Unit

SMALL = {"tokens_per_microbatch": 40}
ANCHORED = {"kl_coef": 0.1}

Setting = tuple[Decoder, LearnerConfig, Algorithm]


def adapted() -> Decoder:
    model = decoder()
    inject(model, LoraConfig(rank=2, targets=("q_proj", "down_proj")))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_B"):
                parameter.add_(0.1)
    return model


def learner_config(**more: Any) -> LearnerConfig:
    return LearnerConfig(**{**SMALL, **more})


SETTINGS: Mapping[str, Callable[[], Setting]] = {
    "tied": lambda: (decoder(), learner_config(), algorithm("grpo")),
    "untied": lambda: (decoder(family="qwen2"), learner_config(), algorithm("grpo")),
    "experts": lambda: (decoder(family="glm4_moe"), learner_config(), algorithm("grpo")),
    "muon": lambda: (decoder(), learner_config(optim=OptimConfig(name="muon", weight_decay=0.1)), algorithm("grpo")),
    "adapters": lambda: (adapted(), learner_config(), algorithm("grpo")),
    "critic": lambda: (
        decoder(),
        learner_config(critic=CriticConfig(), updates_per_step=2, epochs=2),
        algorithm("ppo"),
    ),
    "reference": lambda: (
        decoder(),
        learner_config(reference="ema", ema_decay=0.5, recompute_activations=True),
        algorithm("grpo").model_copy(update=ANCHORED),
    ),
    "one piece": lambda: (decoder(), LearnerConfig(tokens_per_microbatch=4000), algorithm("grpo")),
}


def recording(optimizer: Optimizer) -> list[dict[str, Tensor]]:
    """The gradients of each step, whole, from now on."""
    found: list[dict[str, Tensor]] = []
    step = optimizer.step

    def recorded() -> Any:
        found.append({n: whole(p.grad).clone() for n, p in optimizer._named.items() if p.grad is not None})
        return step()

    optimizer.step = recorded  # type: ignore[method-assign]
    return found


def gap(ours: list[dict[str, Tensor]], theirs: list[dict[str, Tensor]]) -> float:
    """Largest difference, relative to the largest entry of its step."""
    worst = 0.0
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        size = max(float(tensor.abs().max()) for tensor in other.values())
        worst = max([worst, *(float((one[n] - other[n]).abs().max()) / size for n in other)])
    return worst


def alone(setting: Setting) -> TorchLearner:
    model, config, chosen = setting
    return TorchLearner(copy.deepcopy(model), config, chosen, temperature=0.8, seed=3)


async def together(worker: Rank, setting: Setting) -> TorchLearner:
    build, weights = build_of(*setting, temperature=0.8, skip_idle=False, seed=3)
    await worker.do(build, weights if worker.ranks.rank == 0 else None)
    return worker.learner


async def compared(worker: Rank, setting: Setting, factor: float = 1.0) -> dict[str, float]:
    """Largest relative differences of the gradients, and of figures, over two updates."""
    one, many = alone(setting), await together(worker, setting)
    for module in many.model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(factor)
    ours, theirs = recording(many._optimizer), recording(one._optimizer)
    figures = 0.0
    for step in range(2):
        rows = [Unit(group) for group in rollouts(step, version=step)]
        rows += [Unit(group) for group in demonstrations(step, 3)]
        by_one, by_many = await one.update(rows), await worker.do(Update(rows))
        assert by_one.keys() == by_many.keys(), by_one.keys() ^ by_many.keys()
        known = {name: value for name, value in by_one.items() if name not in ("time/train", "tokens/forwarded")}
        figures = max(figures, *(abs(by_many[name] - value) / (1 + abs(value)) for name, value in known.items()))
    probes = [(await learner.probe()).logprobs for learner in (one, many)]
    apart = [abs(a - b) for rows in zip(*probes, strict=True) for a, b in zip(*rows, strict=True)]
    return {"gradients": gap(ours, theirs), "figures": figures, "probe": max(apart)}


async def gradients(worker: Rank, folder: Path) -> dict[str, Any]:
    found = {name: await compared(worker, make()) for name, make in SETTINGS.items()}
    return found | {"mean instead of sum": await compared(worker, SETTINGS["tied"](), factor=2.0)}


def state_of(learner: TorchLearner) -> dict[str, Tensor]:
    """All that a checkpoint holds, whole."""
    found = {f"policy.{n}": t for n, t in checkpoint.weights(learner.model).items()}
    found |= {f"optimizer.{n}": t for n, t in learner._optimizer.state().items()}
    if learner.critic is not None:
        found |= {f"critic.{n}": t for n, t in checkpoint.weights(learner.critic).items()}
        found |= {f"critic_optimizer.{n}": t for n, t in learner._critic_optimizer.state().items()}
    if learner.reference is not None:
        found |= {f"reference.{n}": t for n, t in checkpoint.weights(learner.reference.model, frozen=True).items()}
    return {name: whole(tensor).clone() for name, tensor in found.items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n].reshape(-1), other[n].reshape(-1)) for n in one)


async def checkpoints(worker: Rank, folder: Path) -> dict[str, Any]:
    """Two ranks, one process, two ranks: the same bits, and the same next step."""
    found = {}
    for name in ("muon", "adapters", "critic", "reference"):
        place = folder / name
        many = await together(worker, SETTINGS[name]())
        await worker.do(Update([Unit(group) for group in rollouts(0)]))
        await worker.do(Save(place / "two"))
        before = state_of(many)
        one = alone(SETTINGS[name]())
        await one.load(place / "two")
        if worker.ranks.rank == 0:
            await one.save(place / "one")
        torch.distributed.barrier()
        rows = [Unit(group) for group in rollouts(1, version=1)]
        await worker.do(Update(rows))
        uninterrupted = state_of(many)
        again = await together(worker, SETTINGS[name]())
        await worker.do(Load(place / "one"))
        restored = state_of(again)
        await worker.do(Update(rows))
        found[name] = {
            "two to one": same(before, state_of(one)),
            "one to two": same(before, restored),
            "next step": same(uninterrupted, state_of(again)),
            "moved": not same(before, uninterrupted),
        }
    return found


async def mixed(worker: Rank, folder: Path) -> dict[str, Any]:
    """Products in bfloat16: the weights that are kept, and their gradients, are fp32, and a probe is exact."""
    setting = (decoder(), learner_config(), algorithm("grpo"))
    one, many = alone(setting), await together(worker, setting)
    one._context = many._context = torch.autocast("cpu", torch.bfloat16)
    ours, theirs = recording(many._optimizer), recording(one._optimizer)
    rows = [Unit(group) for group in rollouts(0)]
    await one.update(rows)
    await worker.do(Update(rows))
    kinds = {str(p.dtype) for p in many.model.parameters()} | {str(g.dtype) for g in ours[0].values()}
    probes = [(await learner.probe()).logprobs for learner in (one, many)]
    apart = max(abs(a - b) for rows in zip(*probes, strict=True) for a, b in zip(*rows, strict=True))
    return {"kinds": sorted(kinds), "gap": gap(ours, theirs), "probe": apart}


CASES = {"gradients": gradients, "checkpoints": checkpoints, "mixed": mixed}


def main() -> None:
    case, folder = sys.argv[1], Path(sys.argv[2])
    worker, _ = join(torch.device("cpu"))
    found = asyncio.run(CASES[case](worker, folder))
    if torchrun.rank() == 0:
        (folder / "result.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
