from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.envs.catalogue.quantities import FORMULAS, PRODUCTS, Quantities, QuantitiesConfig, consistent

SEEDS = st.integers(0, 10**6)
HAND = {
    "given": [["acceleration", 4], ["distance", 5], ["mass", 3]],
    "asked": "energy",
    "formulas": [["force", "mass", "*", "acceleration"], ["energy", "force", "*", "distance"]],
    "value": 60,
    "options": [600, 60, 17, 12],
}


def made(**settings: Any) -> Quantities:
    return Quantities(QuantitiesConfig(**settings), 0)


def test_by_hand():
    choice, fill = made(direct=0, slips=0), made(form="fill", direct=0, slips=0)
    assert fill.question(HAND) == "acceleration 4 distance 5 mass 3 energy?"
    assert choice.question(HAND) == "acceleration 4 distance 5 mass 3 energy? A600 B60 C17 D12"
    assert choice.solve(HAND, Random(0)) == "3*4=12 12*5=60 #B"
    assert fill.solve(HAND, Random(0)) == "3*4=12 12*5=60 #60"
    assert [letter for letter in ("A", "B", "C", "D", "b", "60", "B60", "AB", "") if choice.verify(HAND, letter)] == [
        "B"
    ]
    assert [number for number in ("60", "060", "60.0", "+60", "B", "600", "") if fill.verify(HAND, number)] == ["60"]


def test_formulas_by_hand():
    for formula in [
        ("speed", "distance", "/", "time"),
        ("force", "mass", "*", "acceleration"),
        ("density", "mass", "/", "volume"),
        ("concentration", "amount", "/", "volume"),
        ("resistance", "voltage", "/", "current"),
    ]:
        assert formula in FORMULAS
    assert len(set(FORMULAS)) == 3 * len(PRODUCTS)


@given(SEEDS, st.integers(1, 4), st.integers(2, 8))
def test_instances_follow_from_their_formulas(seed: int, steps: int, options: int):
    tasks = made(steps=steps, options=options)
    data = tasks.draw(Random(seed))
    values = dict(data["given"])
    assert consistent(values)
    assert len(values) == len(data["given"]) == steps + 1
    for place, (result, left, sign, right) in enumerate(data["formulas"]):
        assert (result, left, sign, right) in FORMULAS
        assert result not in values
        if place:
            assert data["formulas"][place - 1][0] in (left, right)
        assert sign == "*" or values[left] % values[right] == 0
        values[result] = values[left] * values[right] if sign == "*" else values[left] // values[right]
    assert len(data["formulas"]) == steps
    assert values[data["asked"]] == data["value"]
    assert data["options"].count(data["value"]) == 1
    assert len({*data["options"]}) == len(data["options"]) == options
    assert min(data["options"]) > 0


@given(SEEDS)
def test_what_contradicts_itself_is_not_asked(seed: int):
    assert not consistent({"distance": 10, "speed": 5, "time": 3})
    assert consistent({"distance": 10, "speed": 5, "time": 2})
    assert not consistent({"distance": 20, "speed": 5, "time": 4, "energy": 100, "mass": 7, "acceleration": 3})
    data = made(steps=3).draw(Random(seed))
    given_values = dict(data["given"])
    changed = {**given_values, data["asked"]: data["value"] + 1}
    assert not consistent(changed)
    assert consistent({**given_values, data["asked"]: data["value"]})


@given(st.integers(0, 300))
def test_both_forms_ask_the_same(index: int):
    choice, fill = made(), made(form="fill")
    for split in ("train", "heldout"):
        one, other = choice.task(split, index), fill.task(split, index)
        assert one.key == other.key
        assert {**one.data, "answer": ""} == {**other.data, "answer": ""}
        assert choice.question(one.data).startswith(fill.question(other.data))
        assert one.data["options"]["ABCD".index(one.answer)] == int(other.answer)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_options_alone_do_not_tell_the_answer(steps: int):
    """Letter and rank of the right option are uniform, and a number beside its tenfold is right less than half the
    time; no number is right often.
    """
    tasks, random, count = made(steps=steps), Random(0), 2500
    instances = [tasks.draw(random) for _ in range(count)]
    letters = Counter(tasks.answer(data) for data in instances)
    ranks = Counter(sorted(data["options"]).index(data["value"]) for data in instances)
    for found in (letters, ranks):
        assert len(found) == 4
        assert all(abs(seen / count - 1 / 4) < 0.035 for seen in found.values())
    tens = [(x, data["value"]) for data in instances for x in data["options"] if 10 * x in data["options"]]
    assert len(tens) > 250
    assert sum(x == value for x, value in tens) / len(tens) < 0.48
    assert Counter(data["value"] for data in instances).most_common(1)[0][1] / count < 0.06


def test_wrong_options_are_typical_mistakes():
    tasks, random = made(steps=1), Random(0)
    kinds: Counter[str] = Counter()
    for data in (tasks.draw(random) for _ in range(500)):
        _, left, sign, right = data["formulas"][0]
        values, wrong = dict(data["given"]), {*data["options"]} - {data["value"]}
        one, other = values[left], values[right]
        kinds["sum"] += one + other in wrong
        kinds["difference"] += abs(one - other) in wrong
        kinds["product for a quotient"] += sign == "/" and one * other in wrong
        kinds["ten"] += 10 * data["value"] in wrong
    assert all(kinds[kind] > 25 for kind in ("sum", "difference", "product for a quotient", "ten")), kinds


def test_a_slip_leads_to_the_nearest_option():
    tasks = made(direct=0, slips=0)
    wrong = {**HAND, "formulas": [["force", "mass", "*", "acceleration"]], "asked": "force", "value": 60}
    assert tasks.solve(wrong, Random(0)) == "3*4=12 #D"
    far = {**wrong, "options": [600, 60, 17, 11]}
    assert tasks.solve(far, Random(0)) == "3*4=12 #D"
