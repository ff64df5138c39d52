"""Loads the model that `espalier serve` is started with."""

from __future__ import annotations

import argparse
import time

import torch

from espalier.core.errors import ConfigError, DataError
from espalier.engine.batching.memory import GIB, Sizes, fit, free_bytes, weight_bytes
from espalier.engine.config import EngineConfig
from espalier.engine.local import LocalEngine
from espalier.engine.server.service import Service
from espalier.lm.build import build
from espalier.lm.checkpoint.pretrained import open_pretrained
from espalier.lm.checkpoint.weights import outline
from espalier.lm.config import DecoderConfig, ModelConfig


def load_service(args: argparse.Namespace) -> Service:
    """The model of the command line, with its engine.

    Sizes are chosen from config.json and the free memory before anything large is read. Raises ConfigError or DataError
    if the files or the sizes are unusable.
    """
    given = {name: getattr(args, name) for name in (*Sizes._fields, "prefill_tokens")}
    EngineConfig.of(**{name: value for name, value in given.items() if value is not None})
    config = ModelConfig.of(pretrained=args.model, renderer=args.renderer, thinking=args.thinking, dtype=args.dtype)
    try:
        sizes = _sizes(open_pretrained(args.model).config, args)
        language = build(config, seed=0)
    except OSError as error:
        raise DataError(f"{error.filename or args.model} cannot be read: {error.strerror or error}") from None
    except UnicodeError as error:
        raise DataError(f"{args.model}: a file is not UTF-8 text ({error})") from None
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ConfigError(f"{args.model} does not fit into memory: {error}") from None
    engine = LocalEngine(language.decoder, **sizes._asdict(), prefill_tokens=args.prefill_tokens)
    return Service(args.name, engine, language.tokenizer, language.renderer, created=int(time.time()), queue=args.queue)


def _sizes(shape: DecoderConfig, args: argparse.Namespace) -> Sizes:
    dtype = torch.bfloat16 if args.dtype == "bfloat16" else torch.float32
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        parameters = sum(parameter.numel() for parameter in outline(shape).parameters())
    except ConfigError as error:
        raise ConfigError(f"{args.model}: {error}") from None
    free, weights = free_bytes(device), weight_bytes(shape, parameters, dtype)
    if weights > free:
        raise ConfigError(
            f"the weights need {weights / GIB:,.2f} GiB, {free / GIB:,.2f} GiB are free on {device}: take a smaller "
            "model, or free memory"
        )
    given = {name: getattr(args, name) for name in Sizes._fields}
    return fit(shape, dtype, free - weights, **given)
