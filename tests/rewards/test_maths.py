import asyncio
import time

import psutil
import pytest
from episodes import episode

from espalier.rewards.mathematics.maths import Maths, MathsConfig

pytest.importorskip("math_verify")


@pytest.fixture(scope="module")
def judge():
    maths = Maths(MathsConfig(seconds=5.0))
    yield maths
    maths.close()


@pytest.fixture(scope="module")
def strict_judge():
    maths = Maths(MathsConfig(unmarked="wrong"))
    yield maths
    maths.close()


@pytest.mark.parametrize(
    ("response", "answer", "right"),
    [
        ("so $\\boxed{\\frac{1}{2}}$", "0.5", True),
        ("the answer is $x^2+2x+1$", "$(x+1)^2$", True),
        ("$\\{1,2,3\\}$", "$\\{3,2,1\\}$", True),
        ("$\\sqrt{8}$", "2\\sqrt{2}", True),
        ("it is 41", "42", False),
        ("", "42", False),
        ("\\frac{", "42", False),
        ("$x=3$", "3", True),
    ],
)
def test_equivalence(judge: Maths, response: str, answer: str, right: bool):
    assert asyncio.run(judge(episode(response, answer))) == float(right)


@pytest.mark.parametrize(
    ("response", "answer", "lenient", "strict"),
    [
        ("so $\\boxed{\\frac{1}{2}}$", "0.5", True, True),
        ("\\boxed{0.333333}", "1/3", True, True),
        ("the answer is $\\frac{1}{2}$", "0.5", True, False),
        ("<answer>$\\frac{1}{2}$</answer> 7", "0.5", False, True),
        ("<|begin_of_box|>\\frac{1}{2}<|end_of_box|>", "0.5", True, True),
        ("\\boxed{3} and \\boxed{4}", "3, 4", True, True),
        ("\\boxed{3}. No, \\boxed{4", "3", True, False),
    ],
)
def test_only_marked_answers_if_asked_for(
    judge: Maths, strict_judge: Maths, response: str, answer: str, lenient: bool, strict: bool
):
    assert asyncio.run(judge(episode(response, answer))) == float(lenient)
    assert asyncio.run(strict_judge(episode(response, answer))) == float(strict)
    assert asyncio.run(strict_judge(episode(response, answer, finish="length"))) == 0.0


def test_numbers_within_a_tolerance():
    cases = [
        *(("\\boxed{0.333331}", "1/3", True), ("\\boxed{0.333329}", "1/3", False)),
        *(("\\boxed{1.41421}", "\\sqrt{2}", True), ("\\boxed{1.4143}", "\\sqrt{2}", False)),
        *(("\\boxed{333.333}", "\\frac{1000}{3}", True), ("\\boxed{0.1234569}", "0.1234567", True)),
        *(("\\boxed{0.12346}", "0.1234567", False), ("\\boxed{0}", "0", True), ("\\boxed{1e-9}", "0", False)),
        *(("\\boxed{x^2}", "x^2", True), ("\\boxed{x^3}", "x^2", False), ("\\boxed{3, 4}", "3", False)),
    ]
    exact, paper = Maths(MathsConfig()), Maths(MathsConfig(tolerance=1e-5))
    try:
        found = [asyncio.run(paper(episode(response, answer))) for response, answer, _ in cases]
        assert found == [float(right) for _, _, right in cases]
        strict = [asyncio.run(exact(episode(response, answer))) for response, answer, _ in cases[:6]]
        assert strict == [0.0] * 6
    finally:
        exact.close()
        paper.close()


def test_many_at_once_and_the_loop_goes_on(judge: Maths):
    async def go() -> tuple[list[float], float]:
        ticks, longest = time.monotonic(), 0.0
        work = asyncio.gather(*(judge(episode(f"\\boxed{{{i}}}", str(i - i % 2))) for i in range(64)))
        while not work.done():
            await asyncio.sleep(0.005)
            now = time.monotonic()
            ticks, longest = now, max(longest, now - ticks)
        return await work, longest

    verdicts, longest = asyncio.run(go())
    assert verdicts == [float(i % 2 == 0) for i in range(64)]
    assert longest < 1.0, "the event loop was blocked"


ENDLESS = "\\boxed{" + "+".join(f"x^{{{i}}}" for i in range(600)) + "}"
"""A sum that sympy takes minutes to compare."""


def test_what_takes_too_long_is_wrong_and_the_next_call_works():
    maths = Maths(MathsConfig(seconds=0.5, workers=1))
    try:
        assert asyncio.run(maths(episode("\\boxed{x^2}", "x^2"))) == 1.0
        pid = maths._hard._workers[0].pid
        assert pid is not None
        started = time.monotonic()
        assert asyncio.run(maths(episode(ENDLESS, "7"))) == 0.0
        assert time.monotonic() - started < 5.0
        assert not psutil.pid_exists(pid), "it was killed"
        assert asyncio.run(maths(episode("\\boxed{x^3}", "x^3"))) == 1.0
    finally:
        maths.close()


def test_a_worker_that_hangs_before_it_begins_costs_no_right_answer():
    maths = Maths(MathsConfig(seconds=0.5))
    try:
        assert asyncio.run(maths(episode("\\boxed{7}", "7"))) == 1.0
        pid = maths._plain._workers[0].pid
        assert pid is not None
        psutil.Process(pid).suspend()
        assert asyncio.run(maths(episode("\\boxed{8}", "8"))) == 1.0
        assert not psutil.pid_exists(pid)
    finally:
        maths.close()


def test_no_plain_answer_waits_behind_what_takes_long():
    maths = Maths(MathsConfig(seconds=1.5, workers=1))

    async def go() -> float:
        slow = [asyncio.create_task(maths(episode(ENDLESS + str(i), "7"))) for i in range(2)]
        await asyncio.sleep(0.01)
        started = time.monotonic()
        assert await maths(episode("\\boxed{\\frac{1}{2}}", "0.5")) == 1.0
        waited = time.monotonic() - started
        assert await asyncio.gather(*slow) == [0.0, 0.0]
        return waited

    try:
        asyncio.run(maths(episode("\\boxed{7}", "7")))
        assert asyncio.run(go()) < 2.0
    finally:
        maths.close()


def test_a_tower_of_powers_does_not_hang(judge: Maths):
    started = time.monotonic()
    assert asyncio.run(judge(episode("$9^{9^{9^{9^{9}}}}$", "$8^{8^{8^{8^{8}}}}$"))) == 0.0
    assert time.monotonic() - started < 30.0
    assert asyncio.run(judge(episode("\\boxed{7}", "7"))) == 1.0


def test_no_worker_stays_behind():
    maths = Maths(MathsConfig())
    asyncio.run(maths(episode("\\boxed{7}", "7")))
    pid = maths._plain._workers[0].pid
    assert pid is not None
    del maths
    deadline = time.monotonic() + 5.0
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
