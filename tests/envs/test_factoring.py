from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.envs.catalogue.factoring import Factoring, FactoringConfig, primes

SEEDS = st.integers(0, 10**6)


def made(**settings: Any) -> Factoring:
    return Factoring(FactoringConfig(**settings), 0)


def test_by_hand():
    tasks, data = made(direct=0, slips=0), {"number": 91}
    assert tasks.question(data) == "91="
    assert tasks.solve(data, Random(0)) == "91/2 no 91/3 no 91/5 no 91/7=13 #7*13"
    assert tasks.solve({"number": 4}, Random(0)) == "4/2=2 #2*2"
    assert made(direct=0, slips=1).solve(data, Random(0)) == "91/2=45 #2*45"
    assert made(direct=0, slips=1, tries=0).solve(data, Random(0)).startswith("91/7 no #")
    right = ["7*13", "13*7"]
    wrong = [
        "1*91",
        "91*1",
        "91",
        "7*13*1",
        "07*13",
        "7*13 ",
        "-7*-13",
        "7x13",
        "2*45",
        "٧*13",
        "7.0*13",
        "",
        "7*",
        "*",
    ]
    assert [tasks.verify(data, answer) for answer in right] == [True, True]
    assert [answer for answer in wrong if tasks.verify(data, answer)] == []
    assert {tasks.canonical_answer(data, answer) for answer in [*right, " 13*7\n"]} == {"7*13"}
    assert primes(30) == (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)


@given(SEEDS, st.integers(7, 60), st.integers(0, 4000), st.integers(0, 4000))
def test_two_factors_are_right_and_no_others(seed: int, largest: int, one: int, other: int):
    tasks = made(largest=largest)
    data = tasks.draw(Random(seed))
    p, q = map(int, tasks.answer(data).split("*"))
    assert p in primes(largest)
    assert q in primes(largest)
    assert p <= q
    assert data["number"] == p * q
    assert tasks.verify(data, f"{one}*{other}") == (sorted((one, other)) == [p, q])
    assert tasks.canonical_answer(data, f"{q}*{p}") == f"{p}*{q}" == tasks.answer(data)


@given(SEEDS, st.integers(0, 10), st.sampled_from([0.0, 0.2]))
def test_work_checks_primes_in_order_and_ends_at_the_first_that_divides(seed: int, tries: int, slips: float):
    tasks, random = made(largest=100, tries=tries, direct=0, slips=slips), Random(seed)
    data = tasks.draw(random)
    work, _, answer = tasks.solve(data, random).partition(" #")
    checks = work.replace(" no", "").split(" ")
    divisors = [int(check.partition("/")[2].partition("=")[0]) for check in checks]
    assert divisors == sorted(set(divisors))
    assert len(divisors) <= tries + 1
    assert all(check.startswith(f"{data['number']}/") for check in checks)
    assert ["=" in check for check in checks[:-1]] == [False] * (len(checks) - 1)
    if slips == 0:
        assert answer == tasks.answer(data) == f"{divisors[-1]}*{checks[-1].partition('=')[2]}"


def test_there_are_as_many_products_as_the_guess_rate_says():
    tasks, random = made(largest=20), Random(0)
    numbers = {tasks.draw(random)["number"] for _ in range(3000)}
    assert len(numbers) == 36
    assert tasks.guess_rate == pytest.approx(1 / 36)
