import re
from itertools import product
from random import Random
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from espalier.core.errors import ConfigError
from espalier.envs.catalogue.letters import LARGEST, LETTERS, reduced, results, run, solutions
from espalier.envs.catalogue.programs import Programs, ProgramsConfig
from espalier.envs.procedural import final

WORDS = st.text(alphabet=LETTERS, max_size=10)
INPUTS = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(tuple)


def made(**settings: Any) -> Programs:
    return Programs(ProgramsConfig(**settings), 0)


def programs(longest: int) -> list[str]:
    """All of 1 to `longest` letters."""
    return ["".join(word) for size in range(1, longest + 1) for word in product(LETTERS, repeat=size)]


def test_by_hand():
    tasks = made(length=3, longest=6, direct=0, slips=0, tries=0)
    data = {"inputs": [3], "outputs": [14], "answer": "did"}
    assert tasks.question(data) == "3>14="
    assert tasks.solve(data, Random(0)) == "3d6i7d14 #did"
    right = ["did", "imdid", "dimid", "didim", "tiiiii"]
    wrong = ["", "d", "dd", "iidii", "did ", "DID", "dxd", "didimim", "14", "3d6i7d14", "mmmmm"]
    assert [tasks.verify(data, answer) for answer in right] == [True] * len(right)
    assert [answer for answer in wrong if tasks.verify(data, answer)] == []
    two = {"inputs": [3, 5], "outputs": [8, 12], "answer": "id"}
    both = made(length=2, examples=2, solutions=1, direct=0, slips=0, tries=0)
    assert both.question(two) == "3>8 5>12="
    assert both.solve(two, Random(0)) == "3i4d8 5i6d12 #id"
    assert both.verify(two, "id")
    assert not both.verify(two, "sm")  # right for one of the two
    assert tasks.canonical(two) == tasks.canonical({"inputs": [5, 3], "outputs": [12, 8], "answer": "dii"})


def test_numbers_are_bounded():
    assert run("m", (0,)) is None
    assert run("s", (32,)) is None
    assert run("s", (31,)) == (961,)
    assert run("t", (333,)) == (LARGEST,)
    assert run("x", (1,)) is None
    assert run("mi", (0,)) is None
    assert run("di", (1, 2)) == (3, 5)


@pytest.mark.parametrize(
    ("program", "numbers", "form"),
    [
        ("imdid", (3,), "did"),
        ("dmid", (3,), "dd"),
        ("iimm", (3,), ""),
        ("td", (3,), "dt"),
        ("tdtdi", (3,), "ddtti"),
        ("timd", (3,), "dt"),
        ("si", (1,), "i"),
        ("si", (1, 2), "si"),
        ("dsti", (0,), "i"),
        ("ids", (3,), "ids"),
        ("dii", (3,), "dii"),
    ],
)
def test_canonical_forms_by_hand(program: str, numbers: tuple[int, ...], form: str):
    assert reduced(program, numbers) == form


@given(WORDS, INPUTS)
def test_a_canonical_form_gives_the_same_and_is_its_own(program: str, numbers: tuple[int, ...]):
    ends = run(program, numbers)
    if ends is None:
        with pytest.raises(ValueError, match="does not run"):
            reduced(program, numbers)
        return
    form = reduced(program, numbers)
    assert run(form, numbers) == ends
    assert reduced(form, numbers) == form
    assert len(form) <= len(program)


@given(WORDS, INPUTS, st.integers(0, 10), st.sampled_from(["im", "mi", "td"]))
def test_no_ops_and_order_make_no_difference(program: str, numbers: tuple[int, ...], place: int, extra: str):
    longer = program[:place] + extra + program[place:]
    other = program[:place] + (extra[::-1] if extra == "td" else "") + program[place:]
    if run(longer, numbers) is not None and run(other, numbers) is not None:
        assert reduced(longer, numbers) == reduced(other, numbers)


@given(INPUTS, st.text(alphabet=LETTERS, min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_solutions_are_counted_exactly(numbers: tuple[int, ...], program: str):
    """Against all 3905 programs, run one by one."""
    outputs = run(program, numbers)
    if outputs is None or outputs == numbers:
        return
    forms = {reduced(word, numbers) for word in programs(5) if run(word, numbers) == outputs}
    counts = solutions(numbers, outputs, 5)
    assert counts == [sum(len(form) == size for form in forms) for size in range(1, 6)]
    assert sum(counts) > 0


def test_all_programs_are_counted_exactly():
    ends = [run(word, (7,)) for word in programs(4)]
    found = results(7, 4)
    assert {(number,): count for number, count in found.items()} == {end: ends.count(end) for end in {*ends} - {None}}


@given(st.integers(0, 10**6), st.sampled_from([(1, 1), (3, 1), (3, 2), (5, 3)]))
@settings(max_examples=30, deadline=None)
def test_instances_are_as_difficult_as_they_say(seed: int, level: tuple[int, int]):
    length, examples = level
    tasks = made(length=length, examples=examples, solutions=3, longest=8)
    data = tasks.draw(Random(seed))
    counts = solutions(tuple(data["inputs"]), tuple(data["outputs"]), 8)
    assert len(data["answer"]) == length
    assert tasks.verify(data, data["answer"])
    assert counts[: length - 1] == [0] * (length - 1)
    assert sum(counts) >= 3
    assert len(set(data["inputs"])) == len(data["inputs"]) == examples


@given(st.integers(0, 10**6), WORDS)
@settings(deadline=None)
def test_right_answers_are_those_that_run_to_the_outputs(seed: int, answer: str):
    tasks = made(longest=6)
    data = tasks.draw(Random(seed))
    right = 1 <= len(answer) <= 6 and run(answer, tuple(data["inputs"])) == tuple(data["outputs"])
    assert tasks.verify(data, answer) == right
    if right:
        assert tasks.verify(data, tasks.canonical_answer(data, answer))
    assert tasks.canonical_answer(data, data["answer"]) == data["answer"]


def test_work_is_the_run_of_each_program():
    """Each attempt is run example by example up to the first that is wrong; one that is right for all is the answer."""
    tasks, random = made(direct=0, slips=0, examples=2, solutions=1), Random(0)
    attempts = 0
    for data in (tasks.draw(random) for _ in range(200)):
        said = tasks.solve(data, random)
        *wrong, last = said.partition(" #")[0].split(" no ")
        attempts += len(wrong)
        assert [right for right in (checked(work, data) for work in wrong) if right] == []
        assert checked(last, data) == final(said)
    assert attempts > 100


def checked(work: str, data: dict[str, Any]) -> str:
    """The program of an attempt that is right for all examples; empty for another."""
    rows = work.split(" ")
    for row, number, output in zip(rows, data["inputs"], data["outputs"], strict=False):
        program = re.sub(r"\d", "", row)
        written = [number, *(run(program[: place + 1], (number,)) for place in range(len(program)))]
        assert row == str(number) + "".join(
            letter + ("" if ends is None else str(ends[0])) for letter, ends in zip(program, written[1:], strict=True)
        )
        if written[-1] != (output,):
            assert row == rows[-1]
            return ""
    assert len(rows) == len(data["inputs"])
    return re.sub(r"\d", "", rows[0])


def test_settings_that_are_refused():
    with pytest.raises(ValidationError, match="longest=2 has no room for programs of length=3"):
        ProgramsConfig(longest=2)
    message = "programs: of 2000 programs of length=1, 0 have solutions=1000 or more of up to longest=4 letters"
    with pytest.raises(ConfigError, match=message):
        made(length=1, longest=4, solutions=1000)


@pytest.mark.parametrize("level", [{}, {"length": 6}, {"examples": 2}, {"examples": 3, "length": 4}])
def test_draws_take_less_than_five_milliseconds(level: dict[str, int]):
    tasks, random = made(**level), Random(1)
    start = perf_counter()
    for _ in range(100):
        tasks.draw(random)
    assert perf_counter() - start < 100 * 0.005 * 4  # on a machine that is four times as slow, or busy
