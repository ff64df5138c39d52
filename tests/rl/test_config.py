"""What a training config refuses about engines and lag, before anything runs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from espalier.core.errors import ConfigError
from espalier.rl.config import TrainConfig

URLS = {"urls": ["http://127.0.0.1:30000"]}
SGLANG = {"kind": "sglang", "sglang": URLS}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": {"kind": "vllm"}, "rollout": {"temperature": 0.7}}, "engine.kind=vllm returns log-probs"),
        ({"engine": {"kind": "vllm"}, "rollout": {"top_k": 5}}, "engine.kind=vllm returns log-probs"),
        ({"engine": SGLANG, "rollout": {"temperature": 0.7}}, "engine.kind=sglang returns log-probs"),
        ({"engine": SGLANG, "rollout": {"top_p": 0.9}}, "engine.kind=sglang returns log-probs"),
        ({"engine": SGLANG, "rollout": {"min_p": 0.1}}, "engine.kind=sglang returns log-probs"),
        ({"engine": {"kind": "sglang"}}, "engine.kind=sglang joins running servers and starts none: name their addr"),
        ({"engine": {**SGLANG, "quantize": "int8"}}, "engine.quantize=int8 is for the embedded engine, not for engi"),
        ({"engine": {"sglang": {"key_env": "sk-1"}}}, "engine.sglang.key_env': give the name of the environment var"),
        ({"engine": {"vllm": {"key_env": "sk-1"}}}, "engine.vllm.key_env': give the name of the environment variable"),
        ({"engine": {"sglang": {"python": "x"}}}, "engine.sglang.python"),
        (
            {"engine": {"kind": "vllm", "vllm": {"transfer": True}}},
            "engine.vllm.transfer sends full weights to servers",
        ),
        ({"engine": {"kind": "vllm", "vllm": {**URLS, "transfer": True, "adapters": True}}}, "full weights"),
        ({"engine": {"kind": "vllm", "quantize": "int8"}}, "engine.quantize=int8 is for the embedded engine"),
        ({"engine": {"count": 2}}, "engine.count needs engines in processes of their own"),
        ({"rollout": {"max_lag": -1}}, "rollout.max_lag"),
        ({"rollout": {"stale": "forget"}}, "rollout.stale"),
    ],
)
def test_what_an_engine_or_a_lag_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        TrainConfig.of(**{"tasks": [{"env": "sorting"}], **changes})


def test_an_error_about_a_key_does_not_show_it() -> None:
    with pytest.raises(ConfigError) as found:
        TrainConfig.of(tasks=[{"env": "sorting"}], engine={"sglang": {"key_env": "sk-secret"}})
    assert "secret" not in str(found.value)


def test_servers_of_sglang_are_joined() -> None:
    assert TrainConfig.of(tasks=[{"env": "sorting"}], engine=SGLANG).engine.on_servers
