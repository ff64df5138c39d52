"""Searches against independent attempts at equal tokens."""

from pathlib import Path

import pytest
from rl_runs import SMALL

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.core.run.run import Run
from espalier.rl.search import Found, compared, search
from espalier.rl.search_config import SearchConfig


def test_a_worked_case():
    """Chains of 10 tokens: one has 0.5 different answers in the mean, two have 1.0, three 1.5. The search has 2.0 with
    25 tokens, and 2.5 chains have 1.25.
    """
    chains = [Found([10, 10, 10], ["a", "b", "b"]), Found([10, 10, 10], [None, None, "c"])]
    tree = [Found([10, 10, 5], ["a", "b", "c"]), Found([10, 10, 5], [None, "c", "c"])]
    found = compared("eptree", tree, chains)
    assert found == pytest.approx(
        {
            "eptree_tokens": 25.0,
            "eptree_distinct": 2.0,
            "eptree_solved": 1.0,
            "eptree_chains_distinct": 1.25,
            "eptree_chains_solved": 0.75,
            "eptree_distinct_ratio": 1.6,
            "eptree_solved_gain": 0.25,
        }
    )


def test_too_few_chains_are_an_error():
    with pytest.raises(ConfigError, match="the search eptree generates 12 tokens at a prompt, and 1 chains 10"):
        compared("eptree", [Found([12], [None])], [Found([10], ["a"])])


def test_the_job_compares_searches_on_the_same_prompts(tmp_path: Path):
    plain = {
        "tasks": [{"env": "countdown", "count": 2, "largest": 5}],
        "model": {**SMALL["model"], "tokenizer": {"alphabet": "0123456789+-*/()>= #"}},
        "rollout": {"max_tokens": 12},
        "engine": {"max_rows": 32, "max_len": 32},
        "evaluation": {"tasks": 4, "samples": 1},
        "chains": 40,
        "methods": {"eptree": {"markers": []}, "without": {"chains": 6, "forks": 0}},
    }
    config = SearchConfig.of(**plain)
    run = Run.create(tmp_path, job="rl.search", name="s", seed=0, config=plain, data=DataRoot(None))
    with run:
        figures = search(config, run)
    assert figures["without_tokens"] < figures["eptree_tokens"]
    assert figures["without_distinct"] == figures["without_chains_distinct"], "without forks, a search is its chains"
    assert figures["without_solved_gain"] == 0.0
    assert (run.path / "report.json").exists()
