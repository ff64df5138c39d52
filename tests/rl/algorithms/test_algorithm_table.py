from __future__ import annotations

import subprocess
import sys

import pytest

from espalier.core.errors import ConfigError
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.table import ALGORITHMS, algorithm

NAMES = ["reinforce", "rloo", "grpo", "dr_grpo", "dapo", "reinforce++", "reinforce++_baseline", "gspo", "cispo", "ppo"]


def test_the_table() -> None:
    assert list(ALGORITHMS) == NAMES
    assert {name: row.name for name, row in ALGORITHMS.items()} == dict(zip(NAMES, NAMES, strict=True))
    assert (ALGORITHMS["dapo"].clip_low, ALGORITHMS["dapo"].clip_high) == (0.2, 0.28)
    assert all(row.correction == "bypass" and row.kl_coef == 0 for row in ALGORITHMS.values())


def test_a_name_in_a_recipe_fills_the_other_fields_from_its_row() -> None:
    assert Algorithm.model_validate({"name": "dapo", "clip_high": 0.3}) == algorithm("dapo", clip_high=0.3)
    assert Algorithm() == ALGORITHMS["grpo"]
    assert Algorithm.model_validate(ALGORITHMS["gspo"].model_dump()) == ALGORITHMS["gspo"]
    assert Algorithm.model_validate_json(ALGORITHMS["ppo"].model_dump_json()) == ALGORITHMS["ppo"]


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'rlo'; did you mean 'rloo'"):
        algorithm("rlo")
    with pytest.raises(ConfigError, match="known: reinforce, rloo"):
        algorithm("zzz")


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ConfigError, match="clip_hihg"):
        algorithm("dapo", clip_hihg=0.3)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("grpo", {"kl_coef": 0.1, "kl_estimator": "k1"}, "k1 as a loss"),
        ("grpo", {"correction": "double_sided"}, "loss=reinforce"),
        ("gspo", {"dual_clip": 3.0}, "dual_clip"),
        ("grpo", {"correction": "icepop", "correction_low": 3.0}, "correction_low"),
    ],
)
def test_contradictions_are_config_errors(name: str, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        algorithm(name, **overrides)


def test_the_configs_import_without_torch() -> None:
    code = "import sys, espalier.rl.algorithms.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
