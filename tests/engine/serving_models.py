"""A tiny model to serve, and a real `espalier serve` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from espalier.engine.local import LocalEngine
from espalier.engine.server.service import Service
from espalier.lm.build import LanguageModel, build
from espalier.lm.config import ModelConfig, TokenizerConfig

TEXTS = ("hello world, the user asks and the assistant answers: é 👍 中文 12+34=46. ",) * 3
NAME = "glm"


def language() -> LanguageModel:
    """GLM's chat format over bytes and a few merges; answers are far from uniform and hold parts of characters."""
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "max_position_embeddings": 2048}
    tokenizer = TokenizerConfig(kind="bpe", vocab_size=400)
    made = build(ModelConfig(renderer="glm", tokenizer=tokenizer, decoder=shape), seed=0, texts=TEXTS)
    with torch.no_grad():
        for parameter in made.decoder.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)
    return made


def service(queue: int = 64, max_rows: int = 8) -> Service:
    made = language()
    engine = LocalEngine(made.decoder, max_rows=max_rows, max_len=1024, retain_rows=2)
    return Service(NAME, engine, made.tokenizer, made.renderer, created=1, queue=queue)


@contextmanager
def served(folder: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address, once it takes requests."""
    command = [sys.executable, "-m", "espalier.cli.main", "serve", str(folder), "--name", NAME, "--renderer", "glm"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--max-rows", "8", "--max-len", "1024", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if " on http://" in line)
        yield process, line.split(" on ")[1].split()[0]
    finally:
        process.kill()
        process.wait()
