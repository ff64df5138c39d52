"""Builds an engine from the recipe section `engine:`."""

from __future__ import annotations

from typing import assert_never

from espalier.engine.api import Engine
from espalier.engine.config import EngineConfig
from espalier.engine.local import LocalEngine
from espalier.lm.decoder import Decoder


def build_engine(model: Decoder, config: EngineConfig) -> Engine:
    """The engine of the config, with the weights of `model`."""
    match config.kind:
        case "local":
            return LocalEngine(
                model,
                max_rows=config.max_rows,
                max_len=config.max_len,
                prefill_tokens=config.prefill_tokens,
                retain_rows=config.retain_rows,
                weights=config.weights,
                precision=config.precision,
            )
        case _:
            assert_never(config.kind)
