"""The embedded engine of a config."""

from __future__ import annotations

from espalier.engine.config import EngineConfig
from espalier.engine.local import LocalEngine
from espalier.lm.decoder import Decoder


def embedded(model: Decoder, config: EngineConfig, *, overlap: bool = False) -> LocalEngine:
    """`LocalEngine` with the settings of `config`. `overlap`: it samples while a learner changes `model`."""
    return LocalEngine(
        model,
        max_rows=config.max_rows,
        max_len=config.max_len,
        prefill_tokens=config.prefill_tokens,
        retain_rows=config.retain_rows,
        weights=config.sharing(overlap=overlap),
        precision=config.precision,
        quantize=config.quantize,
    )
