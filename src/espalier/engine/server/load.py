"""From the options of `espalier serve` to a model ready to answer."""

from __future__ import annotations

import argparse
import time

from espalier.engine.local import LocalEngine
from espalier.engine.server.service import Service
from espalier.lm.build import build
from espalier.lm.config import ModelConfig


def load_service(args: argparse.Namespace) -> Service:
    """The model of the command line, with its engine."""
    config = ModelConfig(path=args.model, renderer=args.renderer, thinking=args.thinking, dtype=args.dtype)
    language = build(config, seed=0)
    engine = LocalEngine(
        language.decoder,
        max_rows=args.max_rows,
        max_len=args.max_len,
        prefill_tokens=args.prefill_tokens,
        retain_rows=args.retain_rows,
    )
    name = args.name or args.model.resolve().name
    return Service(name, engine, language.tokenizer, language.renderer, created=int(time.time()))
