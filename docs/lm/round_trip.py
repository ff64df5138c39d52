"""Build a tiny model, save it, load it in transformers: the same greedy tokens on both sides."""

import asyncio
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from espalier.engine.api import Sampling
from espalier.engine.local import LocalEngine
from espalier.lm.build import build
from espalier.lm.config import ModelConfig

logging.disable_progress_bar()
language = build(ModelConfig(preset="tiny"), seed=0, texts=["12+34=46"])
prompt = language.tokenizer.encode("12+34=")
with tempfile.TemporaryDirectory() as folder:
    language.save(Path(folder))
    print("saved:  ", *sorted(path.name for path in Path(folder).iterdir()))
    theirs = AutoModelForCausalLM.from_pretrained(folder)
engine = LocalEngine(language.decoder, max_rows=1, max_len=64)
completion = asyncio.run(engine.generate(prompt, Sampling(max_tokens=16, temperature=0.0)))
generated = theirs.generate(
    torch.tensor([prompt]), max_new_tokens=16, do_sample=False, eos_token_id=None, pad_token_id=0
)
print("model:  ", type(theirs).__name__, f"{sum(p.numel() for p in theirs.parameters()):,} parameters")
print("equal:  ", completion.tokens == generated[0, len(prompt) :].tolist())
