"""What a training config refuses about engines and lag, before anything runs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from espalier.core.errors import ConfigError
from espalier.rl.config import TrainConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": {"kind": "vllm"}, "rollout": {"temperature": 0.7}}, "engine.kind=vllm returns log-probs"),
        ({"engine": {"kind": "vllm"}, "rollout": {"top_k": 5}}, "engine.kind=vllm returns log-probs"),
        ({"engine": {"kind": "vllm", "quantize": "int8"}}, "engine.quantize=int8 is for the embedded engine"),
        ({"engine": {"count": 2}}, "engine.count needs engines in processes of their own"),
        ({"rollout": {"max_lag": -1}}, "rollout.max_lag"),
        ({"rollout": {"stale": "forget"}}, "rollout.stale"),
    ],
)
def test_what_an_engine_or_a_lag_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        TrainConfig.of(**{"tasks": [{"env": "sorting"}], **changes})
