"""Rollout speed: the embedded engine against transformers' `generate`, same weights, fp32, two threads.

64 prompts of 16 tokens, 8 samples each. Lengths are drawn beforehand and forced on both sides: one for each sample
(log-normal, median 32, sigma 0.6, 4 to 160), or 48 for all; in a third case the model ends by itself. Each side takes
as many rows at a time as suits it best; `generate` runs a batch to its longest row, and only useful tokens count. The
engine also returns two log-probs a token, which `generate` is not asked for. No number is printed unless greedy tokens
and log-probs agree first. `--quick` has half the prompts and fewer candidates.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common import THREADS, Row, arguments, finish, paired
from espalier.engine.api import Completion, Sampling
from espalier.engine.local import LocalEngine
from espalier.lm.checkpoint.files import save_model
from espalier.lm.config import ModelConfig
from espalier.lm.decoder import Decoder
from espalier.lm.presets import decoder_config
from rollout_counts import counts
from rollout_parts import parts

PROMPTS, SAMPLES, PROMPT_LEN, VOCABULARY, EQUAL, LONGEST = 64, 8, 16, 64, 48, 160
EOS = 3
ROWS, BATCHES = (64, 128, 256, 512), (64, 128, 256, 512)
QUICK_PROMPTS, QUICK_ROWS, QUICK_BATCHES = 32, (128, 256), (128, 256)


def main() -> int:
    """Run it."""
    args = arguments(__doc__ or "").parse_args()
    torch.set_num_threads(THREADS)
    repeats = 3 if args.quick else 9
    model, peer = models()
    random = np.random.default_rng(0)
    count, at_once, batches = (QUICK_PROMPTS, QUICK_ROWS, QUICK_BATCHES) if args.quick else (PROMPTS, ROWS, BATCHES)
    prompts = random.integers(EOS + 1, VOCABULARY, (count, PROMPT_LEN)).repeat(SAMPLES, axis=0)
    ragged = np.exp(random.normal(np.log(32), 0.6, len(prompts))).clip(4, LONGEST).astype(int)
    agree(model, peer, prompts[::SAMPLES][:16])
    max_len = PROMPT_LEN + LONGEST + 16
    engines = {n: LocalEngine(model, max_rows=n, max_len=max_len, retain_rows=0) for n in at_once}
    rows: list[Row] = []
    for name, lengths, must, aim in (
        ("variable lengths, 8 samples a prompt", ragged, 2.0, 4.0),
        ("equal lengths", np.full(len(prompts), EQUAL), 1.1, 2.0),
        ("natural end", None, None, None),
    ):
        ours, most = best({n: partial(rollout, engine, prompts, lengths) for n, engine in engines.items()})
        theirs, batch = best({n: partial(generate, peer, prompts, lengths, n) for n in batches})
        note = f"ours {most} rows, generate {batch}, the fastest of {at_once} and {batches}"
        rows.append(paired(name, ours, theirs, unit="tokens/s", repeats=repeats, must=must, aim=aim, note=note))
    if not args.quick:
        continuous = partial(continuous_batching, peer, prompts[:64], EQUAL)
        ours = partial(rollout, engines[64], prompts[:64], np.full(64, EQUAL))
        note = "transformers' generate_batch; 64 requests of equal length on both sides"
        rows.append(paired("continuous batching", ours, continuous, unit="tokens/s", repeats=3, note=note))
    rows += counts(model)
    rows += parts(repeats=repeats)
    return finish("Rollout", rows, args, ("torch", "transformers"))


def models() -> tuple[Decoder, Any]:
    """The tiny preset with random weights, and the same checkpoint in transformers."""
    from transformers import AutoModelForCausalLM

    model = Decoder(decoder_config(ModelConfig(preset="tiny"), vocab_size=VOCABULARY))
    model.reset(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)  # far from uniform, so that greedy tokens mean something
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder))
        return model, AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def agree(model: Decoder, peer: Any, prompts: np.ndarray) -> None:
    """Exit unless greedy tokens are equal (where the two best logits differ by 1e-4) and log-probs are within 1e-4."""
    engine = LocalEngine(model, max_rows=8, max_len=128)
    sampling = Sampling(max_tokens=64, temperature=0.0)
    completions = asyncio.run(_gather(engine, prompts, [sampling] * len(prompts)))
    for prompt, completion in zip(prompts.tolist(), completions, strict=True):
        ids = torch.tensor([prompt + completion.tokens])
        with torch.inference_mode():
            theirs = peer.generate(
                ids[:, :PROMPT_LEN],
                attention_mask=torch.ones(1, PROMPT_LEN),
                max_new_tokens=64,
                **_settings(None, False),
            )
            logp = peer(ids).logits[0, PROMPT_LEN - 1 : -1].log_softmax(-1)
        differ = (theirs != ids)[0, PROMPT_LEN:].nonzero().flatten().tolist()
        margin = logp.topk(2).values.diff().abs().flatten()
        gap = (logp.gather(1, ids[0, PROMPT_LEN:, None])[:, 0] - torch.tensor(completion.raw_logprobs)).abs().max()
        if (differ and margin[differ[0]] > 1e-4) or gap > 1e-4:
            sys.exit(
                f"the engine and generate disagree: tokens differ at {differ[:3]}, log-probs by {gap:.1e}; no timing"
            )


def best(candidates: dict[int, Callable[[], float]]) -> tuple[Callable[[], float], int]:
    """The setting with the highest rate. Each is tried twice where there is a choice."""
    rates = {setting: max(run(), run()) if len(candidates) > 1 else 0.0 for setting, run in candidates.items()}
    fastest = max(rates, key=lambda setting: rates[setting])
    return candidates[fastest], fastest


def rollout(engine: LocalEngine, prompts: np.ndarray, lengths: np.ndarray | None) -> float:
    """Useful tokens a second of the engine; without `lengths`, the model decides when to stop."""
    limits = [LONGEST] * len(prompts) if lengths is None else lengths.tolist()
    stop = () if lengths is not None else (EOS,)
    asked = [Sampling(max_tokens=limit, seed=i, stop=stop) for i, limit in enumerate(limits)]
    begin = time.perf_counter()
    completions = asyncio.run(_gather(engine, prompts, asked))
    return sum(len(completion.tokens) for completion in completions) / (time.perf_counter() - begin)


async def _gather(engine: LocalEngine, prompts: np.ndarray, asked: list[Sampling]) -> list[Completion]:
    calls = (engine.generate(prompt, sampling) for prompt, sampling in zip(prompts.tolist(), asked, strict=True))
    return await asyncio.gather(*calls)


@torch.inference_mode()
def generate(peer: Any, prompts: np.ndarray, lengths: np.ndarray | None, batch: int) -> float:
    """Useful tokens a second of transformers' generate, `batch` rows at a time."""
    ids, useful = torch.from_numpy(prompts), 0
    begin = time.perf_counter()
    for start in range(0, len(ids), batch):
        part = ids[start : start + batch]
        longest = LONGEST if lengths is None else int(lengths[start : start + batch].max())
        settings = _settings(EOS if lengths is None else None, True)
        output = peer.generate(part, attention_mask=torch.ones_like(part), max_new_tokens=longest, **settings)
        if lengths is None:
            ended = (output[:, PROMPT_LEN:] == EOS).cumsum(1)
            useful += int((ended - (output[:, PROMPT_LEN:] == EOS).long() == 0).sum())
        else:
            useful += int(lengths[start : start + batch].sum())
    return useful / (time.perf_counter() - begin)


def continuous_batching(peer: Any, prompts: np.ndarray, length: int) -> float:
    """Tokens a second of transformers' continuous batching."""
    from transformers import GenerationConfig
    from transformers.generation import ContinuousBatchingConfig

    config = GenerationConfig(max_new_tokens=length, eos_token_id=-1, pad_token_id=0, do_sample=False)
    options = ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=256)
    begin = time.perf_counter()
    outputs = peer.generate_batch(prompts.tolist(), config, options, progress_bar=False, warmup=False)
    return sum(len(output.generated_tokens) for output in outputs.values()) / (time.perf_counter() - begin)


def _settings(eos: int | None, sample: bool) -> dict[str, Any]:
    plain = {"top_k": 0, "top_p": 1.0, "temperature": 1.0} if sample else {}
    return {"do_sample": sample, "eos_token_id": eos, "pad_token_id": 0, "use_cache": True, **plain}


if __name__ == "__main__":
    sys.exit(main())
