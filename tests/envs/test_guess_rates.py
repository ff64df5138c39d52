"""How often a guess is right: what the sets say, against guesses that are made."""

import json
import math
from collections.abc import Callable, Mapping
from itertools import combinations_with_replacement, permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.envs.adapters.plugin import PluginConfig, PluginTasks
from espalier.envs.adapters.table import Table, TableConfig
from espalier.envs.api import TaskSet, guess_rate
from espalier.envs.build import build_tasks
from espalier.envs.catalogue.brackets import PAIRS
from espalier.envs.catalogue.guess_number import turns_allowed
from espalier.envs.config import TasksConfig
from espalier.envs.procedural import Procedural, Question

ROWS = list(combinations_with_replacement("0123456789", 3))
Guess = Callable[[Mapping[str, Any], Mapping[str, Any], Random], str]
"""From config and instance to an answer of the right form."""


def make(*entries: Mapping[str, Any]) -> TaskSet:
    return build_tasks(TypeAdapter(TasksConfig).validate_python(list(entries)), seed=0, data=DataRoot(None))


def multiplication(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    low = 10 ** (config["digits"] - 1)
    return str(random.choice(sorted({a * b for a in range(low, 10 * low) for b in range(2, 10)})))


def chain_sums(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    return str(random.randint(0, config["terms"] * int("9" * config["digits"])))


def countdown(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    first, *rest = random.sample(data["numbers"], len(data["numbers"]))
    return f"{first}{''.join(random.choice(config['operators']) + str(number) for number in rest)}"


def sorting(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    return "".join(random.choice(ROWS))


def reverse(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    return "".join(random.choice("abcdefgh"[: config["letters"]]) for _ in range(config["length"]))


def brackets(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    closing = list(PAIRS.values())[: config["kinds"]]
    lengths = range(config["length"], 0, -2)
    (length,) = random.choices(lengths, [len(closing) ** n for n in lengths])
    return "".join(random.choices(closing, k=length))


def paths(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    inner = [node for node in "abcdefgh"[: config["nodes"]] if node not in (data["start"], data["end"])]
    rows = [row for count in range(1, len(inner) + 1) for row in permutations(inner, count)]
    return "".join((data["start"], *random.choice(rows), data["end"]))


def programs(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    lengths = range(1, config["longest"] + 1)
    (length,) = random.choices(lengths, [5**n for n in lengths])
    return "".join(random.choices("dimst", k=length))


def factoring(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    known = [2, 3, 5, 7, 11, 13, 17, 19]
    return "{}*{}".format(*random.choice(list(combinations_with_replacement(known, 2))))


def quantities(config: Mapping[str, Any], data: Mapping[str, Any], random: Random) -> str:
    return random.choice("ABCDEFGH"[: config["options"]])


GUESSERS: dict[str, tuple[Guess, list[dict[str, Any]]]] = {
    "multiplication": (multiplication, [{"digits": 1}]),
    "chain_sums": (chain_sums, [{"terms": 2, "digits": 1}, {"terms": 3, "digits": 1}]),
    "countdown": (
        countdown,
        [
            {"count": 2, "operators": "+-*"},
            {"count": 3, "operators": "+-*/"},
            {"count": 3, "largest": 4, "operators": "+-"},
        ],
    ),
    "sorting": (sorting, [{"length": 3}]),
    "reverse": (reverse, [{"length": 3, "letters": 2}, {"length": 2, "letters": 4}]),
    "paths": (paths, [{"nodes": 4}, {"nodes": 5}, {"nodes": 6, "edges": 1.5}]),
    "programs": (
        programs,
        [
            {"length": 1, "longest": 1, "solutions": 1},
            {"length": 2, "longest": 2, "solutions": 1, "inputs": 9},
            {"length": 2, "longest": 4, "solutions": 4, "inputs": 5},
        ],
    ),
    "factoring": (factoring, [{"largest": 20}]),
    "quantities": (quantities, [{"options": 4, "steps": 1}, {"options": 8}]),
    "brackets": (brackets, [{"length": 3, "kinds": 1}, {"length": 4, "kinds": 2}]),
}
CASES = [(env, config) for env, (_, configs) in GUESSERS.items() for config in configs]


@pytest.mark.parametrize(("env", "config"), CASES)
def test_guesses_are_as_often_right_as_the_set_says(env: str, config: dict[str, Any]):
    tasks = make({"env": env, **config})
    assert isinstance(tasks, Question)
    guess, random = GUESSERS[env][0], Random(1)
    count = math.ceil(400 / tasks.guess_rate)  # four hundred right ones expected
    instances = [tasks.draw(random) for _ in range(count)]
    right = sum(tasks.verify(data, guess(config, data, random)) for data in instances)
    assert abs(right - 400) < 70, (right / count, tasks.guess_rate)  # 3.5 standard errors


def test_guesses_at_numbers_find_as_many_as_the_set_says():
    tasks, random = make({"env": "guess_number", "largest": 20}), Random(0)
    assert isinstance(tasks, Procedural)
    found = 0
    for data in (tasks.draw(random) for _ in range(4000)):
        guesses = [random.randint(1, data["high"]) for _ in range(turns_allowed(data["high"]))]
        found += data["secret"] in guesses
    assert abs(found / 4000 - tasks.guess_rate) < 0.025
    assert 0.2 < tasks.guess_rate < 0.3


def test_rates_by_hand():
    def rate(env: str, **settings: Any) -> float:
        return guess_rate(make({"env": env, **settings}))

    assert rate("brackets", length=3, kinds=1) == 1 / 2  # `)` and `)))`
    assert rate("brackets", length=4, kinds=2) == 1 / (2**4 + 2**2)
    assert rate("reverse", length=2, letters=2) == 1 / 4
    assert rate("sorting", length=3) == 1 / 220
    assert rate("chain_sums", terms=2, digits=1) == 1 / 19  # 0 to 18
    assert rate("factoring", largest=7) == 1 / 10  # of 2 3 5 7
    assert rate("quantities", options=5) == 1 / 5
    assert rate("quantities", form="fill") == rate("paths", nodes=10) == rate("programs", examples=2) == 0.0
    assert rate("paths", nodes=4, edges=1.25) == 1.0  # all edges but the one between the ends
    assert rate("multiplication", digits=4) == rate("calculator") == rate("countdown", count=4) == 0.0


def test_all_sums_that_a_guess_may_name_occur():
    tasks, random = make({"env": "chain_sums", "terms": 2, "digits": 1}), Random(0)
    assert isinstance(tasks, Question)
    assert {int(tasks.answer(tasks.draw(random))) for _ in range(4000)} == set(range(19))


def test_a_mixture_has_the_mean_rate_and_a_delay_changes_nothing():
    pair: list[dict[str, Any]] = [
        {"env": "reverse", "length": 2, "letters": 2, "weight": 3, "delay": {"seconds": 0.1}},
        {"env": "brackets", "length": 3, "kinds": 1},
    ]
    assert guess_rate(make(pair[0])) == 1 / 4
    assert guess_rate(make(*pair)) == pytest.approx(3 / 4 * 1 / 4 + 1 / 4 * 1 / 2)


def test_a_table_with_choices_knows_its_rate(tmp_path: Path):
    rows = [{"question": f"{i}?", "choices": [f"x{i}", f"y{i}"], "answer": "A"} for i in range(30)]
    rows += [{"question": f"{i}!", "choices": [f"x{i}", f"y{i}", f"z{i}", f"w{i}"], "answer": "A"} for i in range(10)]
    plain = [{"question": f"{i}?", "answer": str(i)} for i in range(30)]
    for name, table in {"choices": rows, "plain": plain}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))

    def rate(name: str) -> float:
        return guess_rate(Table(TableConfig(path=tmp_path / f"{name}.jsonl", heldout=0.3), 0, DataRoot(None)))

    assert rate("choices") == pytest.approx((30 / 2 + 10 / 4) / 40)
    assert rate("plain") == 0.0


def test_a_set_of_ones_own_may_say_its_rate(tmp_path: Path):
    text = """
class Coin:
    name = "coin"
    def __init__(self, seed, rate=None):
        if rate is not None: self.guess_rate = rate
    def task(self, split, index): ...
    def env(self, task): ...
"""
    (tmp_path / "coin.py").write_text(text)

    def rate(**options: Any) -> float:
        return guess_rate(PluginTasks(PluginConfig(factory=f"{tmp_path / 'coin.py'}:Coin", options=options), seed=0))

    assert rate() == 0.0
    assert rate(rate=0.5) == 0.5
    with pytest.raises(ConfigError, match=r"coin: guess_rate is 1.5, which is no probability"):
        rate(rate=1.5)
