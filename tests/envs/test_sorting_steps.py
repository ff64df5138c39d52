import re
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from espalier.envs.catalogue.sorting import Sorting, SortingConfig
from espalier.envs.procedural import final

DIGITS = st.text(alphabet="0123456789", min_size=1, max_size=32)


def test_the_format_by_hand():
    tasks = Sorting(SortingConfig(steps=True, slips=0), 0)
    assert tasks.solve({"digits": "52714"}, Random(0)) == "1:5274 2:574 4:57 5:7 7: #12457"
    assert tasks.solve({"digits": "331"}, Random(0)) == "1:33 3:3 3: #133"
    always = Sorting(SortingConfig(steps=True, slips=1), 0)
    assert always.solve({"digits": "2011"}, Random(0)) == "1:201 1:20 2:0 0: #1120"


@given(DIGITS, st.integers(0, 99), st.sampled_from([0.0, 0.1, 1.0]))
def test_each_step_takes_one_digit_and_copies_the_others(digits: str, seed: int, slips: float):
    tasks = Sorting(SortingConfig(steps=True, slips=slips), 0)
    said = tasks.solve({"digits": digits}, Random(seed))
    work, _, answer = said.partition(" #")
    left = digits
    for step in work.split(" "):
        taken, _, rest = step.partition(":")
        assert rest in {left[:i] + left[i + 1 :] for i, digit in enumerate(left) if digit == taken}
        left = rest
    assert left == ""
    assert answer == "".join(re.findall(r"(\d):", work))
    assert tasks.verify({"digits": digits}, final(said) or "") or slips > 0


@given(DIGITS, st.integers(0, 99))
def test_every_slip_counts(digits: str, seed: int):
    tasks = Sorting(SortingConfig(steps=True, slips=1), 0)
    right = tasks.verify({"digits": digits}, final(tasks.solve({"digits": digits}, Random(seed))) or "")
    assert right == (len(set(digits)) == 1)
