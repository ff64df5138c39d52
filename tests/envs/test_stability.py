"""Tasks, keys and demonstrations are what they were: results were published with them."""

import hashlib
import json
from random import Random

import pytest
from pydantic import TypeAdapter

from espalier.core.data import DataRoot
from espalier.core.study.cells import _known
from espalier.envs.build import build_tasks
from espalier.envs.catalogue.sorting import SortingConfig
from espalier.envs.config import TasksConfig

DIGESTS = {
    "multiplication": "864939d3917345e0",
    "countdown": "edf6e38f0daa0615",
    "sorting": "962d2461714fb3f2",
    "reverse": "c869d9cb0eb93c96",
    "chain_sums": "1f01b856fb317079",
    "brackets": "84750f7d11d6c419",
    "calculator": "d5230e28cb86c859",
    "guess_number": "f2018c447457696f",
    "paths": "89cbcf87fad33777",
    "programs": "2c3fdd5be75671f3",
    "factoring": "5a35a21ebcadff26",
    "quantities": "b5e3d0bf9aa14e3b",
}


@pytest.mark.parametrize("env", DIGESTS)
def test_seeds_give_the_tasks_they_gave(env: str):
    tasks = build_tasks(TypeAdapter(TasksConfig).validate_python([{"env": env}]), seed=0, data=DataRoot(None))
    found = []
    for split in ("train", "heldout"):
        for index in range(20):
            task = tasks.task(split, index)
            talk = [message.content for message in tasks.demonstrate(task, Random(index))]
            found.append([task.key, dict(task.data), talk])
    assert hashlib.blake2b(json.dumps(found).encode(), digest_size=8).hexdigest() == DIGESTS[env]


def test_a_later_field_of_a_set_changes_the_digest_of_a_study_only_where_it_is_set():
    plain = {"name": "", "weight": 1.0, "env": "sorting", "length": 5, "slips": 0.1}
    for config, known in [(SortingConfig(), plain), (SortingConfig(steps=True), plain | {"steps": True})]:
        assert _known(config, config.model_dump(mode="json")) == known
