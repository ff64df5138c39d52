"""What math-verify is held to: sizes, the last box, and numbers that nothing can work out."""

import time
from collections.abc import Iterator

import pytest

from espalier.envs.boxes import final_answer
from espalier.envs.workers.worker import Worker
from espalier.rewards.mathematics.magnitude import explodes
from espalier.rewards.mathematics.maths import _equivalence

pytest.importorskip("math_verify")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker(_equivalence)
    yield made
    made.close()


RIGHT = [
    *(("5000", "\\boxed{5 \\text{ thousand}}"), ("2.5 million", "\\boxed{2,500,000}"), ("5", "\\boxed{5.}")),
    ("3", "First \\boxed{4}. Wait, that is wrong.\n\nThe final answer is \\boxed{3}."),
    *(("3,4", "\\boxed{3} and \\boxed{4}"), ("3", "\\boxed{3}, so \\boxed{3}"), ("3", "\\boxed{\\boxed{3}}")),
    *(("1/3", "\\boxed{0.333333}"), ("\\pi", "\\boxed{3.14159265}"), ("\\sqrt{2}", "\\boxed{1.41421356}")),
    *(("-5", "\\boxed{−5}"), ("1.5", "\\boxed{1 1/2}"), ("1\\frac{1}{2}", "\\boxed{1.5}"), ("3", "\\boxed{x=3}")),
    *(
        ("1000", "\\boxed{1\\,000}"),
        ("1000", "\\boxed{1 000}"),
        ("1000", "\\boxed{1{,}000}"),
        ("1000", "\\boxed{10^3}"),
    ),
    *(("\\$5", "\\boxed{5}"), ("5", "\\boxed{€5}"), ("5", "\\boxed{5\\text{ cm}}"), ("0.5", "\\boxed{50\\%}")),
    *(("50", "\\boxed{50\\%}"), ("10^{-7}", "\\boxed{1e-7}"), ("1e-10", "\\boxed{10^{-10}}"), ("0", "\\boxed{0.0}")),
    *(("\\frac{1}{2^{99}}", "\\boxed{2^{-99}}"), ("2^{100}", "\\boxed{1267650600228229401496703205376}")),
    *(("9^{9^{9^9}}", "\\boxed{9^{9^{9^9}}}"), ("\\{1,2\\}", "\\boxed{\\{2,1\\}}"), ("(x+1)^2", "\\boxed{x^2+2x+1}")),
]
WRONG = [
    *(("5", "\\boxed{5 \\text{ thousand}}"), ("5", "\\boxed{5\\text{ million dollars}}"), ("5", "\\boxed{5 Billion}")),
    *(("\\frac{1}{2^{99}}", "\\boxed{\\frac{1}{2^{98}}}"), ("\\frac{1}{2004!}", "\\boxed{\\frac{1}{2006!}}")),
    *(("1e-10", "\\boxed{2e-10}"), ("0", "\\boxed{10^{-9}}"), ("0.1234567", "\\boxed{0.1234569}")),
    *(("e^{-20}", "\\boxed{e^{-21}}"), ("x=10^{-9}", "\\boxed{x=10^{-8}}"), ("(1,2^{-99})", "\\boxed{(1,2^{-98})}")),
    *(("\\{1,2^{-98}\\}", "\\boxed{\\{1,2^{-99}\\}}"), ("\\frac{\\sqrt{2}}{10^8}", "\\boxed{\\frac{\\sqrt{3}}{10^8}}")),
    *(("1/3", "\\boxed{0.3333}"), ("\\pi", "\\boxed{3.14159}"), ("100000000", "\\boxed{100000001}")),
    *(("3", "\\boxed{1,2,3}"), ("3", "\\boxed{3} or \\boxed{4}"), ("3", "\\boxed{4}, \\boxed{3}")),
    *(("5", "\\boxed{5 \\text{ or } 6}"), ("2", "\\boxed{\\pm 2}"), ("12", "\\boxed{1,2}"), ("3", "\\boxed{3=4}")),
    *(("(1,2)", "\\boxed{(2,1)}"), ("(1,2)", "\\boxed{[1,2]}"), ("x>3", "\\boxed{x<3}"), ("2", "\\boxed{2")),
    *(("3", "\\boxed{9^{9^{9^9}}}"), ("9^{9^{9^9}}", "\\boxed{9^{9^{9^8}}}"), ("72", "72 and \\boxed{x}")),
]


@pytest.mark.parametrize(
    ("reference", "response", "right"), [*((*case, True) for case in RIGHT), *((*case, False) for case in WRONG)]
)
def test_equal_at_every_size(worker: Worker, reference: str, response: str, right: bool):
    assert worker.call("right", reference, final_answer(response), seconds=20) is right


TOWERS = [
    *("9^{9^{9^9}}", "9^9^9^9", "9**9**9**9", "99999999!", "((4!)!)!", "((((9^9)^9)^9)^9)^9", "10^{10^{100}}"),
    *("2^{3000000000}", "\\binom{10^{12}}{5}", "2^{2^{2^{2^{2^2}}}}", "2.5^{99999999}", "(1/3)^{99999999}"),
    *("\\left(9^9\\right)^{9^9}", "\\sqrt{9^{9^9}}", "x^{9^{9^9}}", "3 ^ { 9 ^ 99 }", "(" * 60 + "1" + ")" * 60),
]
FINE = [
    *(
        "2^{10}",
        "2^{2^{10}}",
        "x^2+2x+1",
        "e^{x^2}",
        "2^{n^{2}}",
        "100!",
        "10^{100}",
        "(a+b)^{12}",
        "\\frac{1}{1300!}",
        "((3!)!)!",
    ),
    *("\\binom{10}{3}", "3^{-2}", "x^{\\frac{1}{2}}", "1,000,000", "0^{99999}", "1^{99999}", "\\{1,2\\}"),
]


@pytest.mark.parametrize("text", TOWERS)
def test_towers_are_found_before_they_are_climbed(worker: Worker, text: str):
    started = time.process_time()
    assert explodes(text)
    assert time.process_time() - started < 0.1
    assert worker.call("right", "3", f"\\boxed{{{text}}}", seconds=1.0) is False


@pytest.mark.parametrize("text", FINE)
def test_ordinary_expressions_are_no_towers(text: str):
    assert not explodes(text)
