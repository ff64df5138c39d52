"""How numbers are written, and what is none: the kinds of the table in docs/rl/rewards.md, and more of each."""

import time
from fractions import Fraction

import pytest
from episodes import episode
from hypothesis import given
from hypothesis import strategies as st

from espalier.rewards.mathematics.numbers import number
from espalier.rewards.mathematics.numeric import Numeric, NumericConfig

JUDGE = Numeric(NumericConfig())
RIGHT = {
    "-5": ["#### −5", "#### –5", "#### -€5", "#### €-5", "#### (-5)", "#### minus 5", "#### negative 5", "#### - 5"],
    "0.5": ["#### 0,5", "#### ½", "#### .5", "\\boxed{\\frac{1}{2}}", "\\boxed{\\dfrac12}", "#### 1 / 2", "#### 5e-1"],
    "1.5": ["\\boxed{1\\frac{1}{2}}", "#### 1 1/2", "#### 1½", "#### 3⁄2", "#### 3/2", "#### 1,5"],
    "-0.75": ["\\boxed{-\\frac{3}{4}}", "#### -3/4", "#### -0.75", "#### −¾"],
    "1000": [
        *("#### 1e3", "#### 1E3", "#### 1 000", "#### 1\u202f000", "#### 1\u00a0000", "#### 1'000", "#### 1_000"),
        *("#### 1{,}000", "#### 1\\,000", "#### 1,000", "#### $1,000.00", "#### ¥1,000", "#### 1 thousand", "#### 1k"),
        *("#### 10^3", "#### 10³", "\\boxed{10^{3}}", "#### 1×10^3", "#### 1.0 \\times 10^{3}", "#### 1 x 10^3"),
    ],
    "2000000": ["#### 2M", "#### $2M", "#### 2mn", "#### 2 Million", "#### 2,000,000"],
    "20": ["#### 20m", "#### 20 m", "#### 20 V", "#### 20V", "#### 20 a day", "#### 20</answer>", "#### 20 nights"],
    "1234567": ["#### 1,234,567", "#### 12,34,567", "#### 1.234.567", "#### 1 234 567", "#### 1.234567 million"],
    "1234.5": ["#### 1,234.5", "#### 1.234,5", "#### 1 234,5", "#### 1,234.50 dollars"],
    "72": [
        *("The answer is **72**", "The Answer is 72", "answer is \\(72\\)", "answer is $72$", "answer is $$72$$"),
        *("**Answer:** 72", "**Answer**: 72", "Answer: **72**.", "Final answer: $72", "THE ANSWER IS: 72"),
        *("#### x = 72", "\\boxed{x=72}", "#### x ≈ 72", "#### 6*12 = 72", "#### 72 = 6*12", "\\boxed{72\\text{ km}}"),
        *("\\boxed{\\text{72}}", "\\boxed{\\mathbf{72}}", "\\boxed{\\$72}", "\\boxed{72\\%}", "$\\boxed{72}$."),
        *("#### 72%", "#### 72 percent", "#### 72 €", "#### £72", "#### US$72", "#### USD 72", "#### Rs. 72"),
        *("#### 72km", "#### 72 km/h", "#### 72°", "#### 72!", "#### 72.", "#### 72.0.", "#### +72", "#### 072"),
        *("#### ７２", "#### _72_", "#### `72`", '#### "72"', "#### (72)", "#### [72]", "#### ~72", "#### about 72"),
        *(
            "#### 72 (not 73)",
            "The answer is 72, not 73",
            "answer: 72, because 6*12 = 72",
            "#### 72 out of 80",
            "#### 72 (6 x 12)",
        ),
        *("The answer is:\n\n72", "#### 72\n\nSo 6*12 is it.", "\\boxed{4}. Wait, that is wrong: \\boxed{72}"),
    ],
}
PART = [
    *("5-6", "5–6", "5 - 6", "5 to 6", "5 or 6", "5 and 6", "5, 6", "5; 6", "5 6", "5 | 6", "$5-$6", "5%-6%"),
    *("5 through 6", "5 ± 6", "5 \\pm 6", "5 +/- 6", "5+6", "5 * 6", "5 × 6", "5/6/5", "5^6", "5²", "5**6", "5:6"),
    *("5.6.5", "(5, 6)", "(5,6)", "[5,6]", "\\{5,6\\}", "(5, inf)", "5x", "0x5", "x = 5 or x = 6", "5 = 6", "6x = 5"),
    *("5 x 6", "5...6", "5 … 6", "5 (or 6)", "5 and/or 6", "5 vs 6", "5 plus 6", "5 times 6", "5, or 6"),
    *("between 5 and 6", ">5", "<5", "≥5", "not 5", "five", "5/0", "--5", "NaN", "inf", "٥", "2024-05-06", "5e99999"),
    *("5π", "5\\pi", "5 pi", "5√2", "5\\sqrt{2}", "5i", "5n", "5 x", "5a", "5 + x", "5 - \\sqrt{2}", "5/x", "5(3)"),
    *(
        "5 squared",
        "5 or more",
        "5 or six",
        "5 < x < 6",
        "5 ≤ x",
        "5 \\le x",
        "5 kg to 6 kg",
        "5 cm - 6 cm",
        "5 m or 6 m",
    ),
    *("5 million", "5 Million", "5M", "$5M", "$5bn", "5 lakh", "5 hundred", "5 hundred thousand"),
]
"""Texts with a 5 or a 6 in them that are neither."""


@pytest.mark.parametrize(("reference", "response"), [(r, text) for r, texts in RIGHT.items() for text in texts])
def test_a_number_is_read_as_it_is_meant(reference: str, response: str):
    assert JUDGE(episode(response, reference)) == 1.0


@pytest.mark.parametrize("text", PART)
def test_a_part_of_something_else_is_no_answer(text: str):
    responses = [f"#### {text}", f"\\boxed{{{text}}}", f"The answer is {text}."]
    references = ["5", "6", "56", "5.6", "0", "0.5"]
    assert [JUDGE(episode(said, reference)) for said in responses for reference in references] == [0.0] * 18


@pytest.mark.parametrize(
    ("response", "reference"),
    [
        *(("#### 1,2", "12"), ("#### 1e3", "1"), ("#### 2:30", "2"), ("#### 50%", "0.5"), ("#### 1.000", "1000")),
        *(("\\boxed{5} or \\boxed{6}", "6"), ("\\boxed{5}, \\boxed{6}", "5"), ("#### 1e-10", "2e-10")),
        *(("#### 0.0000001", "0.0000002"), ("#### 3.1416", "3.14159"), ("formula: 5", "5"), ("#### 1,0000", "10000")),
        *(("#### 3 4/2", "5"), ("#### 2k", "2"), ("#### 2 million", "2"), ("#### 72\n#### 73", "72")),
    ],
)
def test_what_looks_near_is_wrong(response: str, reference: str):
    assert JUDGE(episode(response, reference)) == 0.0


def test_references_are_read_alike():
    assert {number(text) for text in ("1e3", "1,000", "1 000", "$1000", "1000.", "1000%", " 1000 ", "**1000**")} == {
        1000
    }
    assert number("9" * 120) == int("9" * 120)
    for text in ("many", "", "5 or 6", "5 km and more", "1e99999", "9" * 1001):
        assert number(text) is None


SPACES = st.sampled_from(["", " ", "\n"])


@given(st.fractions(max_denominator=999), SPACES, st.sampled_from(["#### ", "\\boxed{", "The answer is: ", "A: "]))
def test_fractions_in_every_form_are_exact(value: Fraction, space: str, marker: str):
    a, b = abs(value).as_integer_ratio()
    sign = "-" if value < 0 else ""
    for form in (f"{sign}{a}/{b}", f"{sign}\\frac{{{a}}}{{{b}}}", f"{sign}{a}⁄{b}", f"{sign}${a}/{b}"):
        end = "}" if marker.startswith("\\") else ""
        assert JUDGE(episode(f"so{space} {marker}{form}{end}{space}", f"{value}")) == 1.0
        assert JUDGE(episode(f"so{space} {marker}{form}{end}{space}", f"{value + 1}")) == 0.0


@given(
    st.text(alphabet="0123456789.,-+*/^${}()[]\\% eExX\n=:~A#½²−–", max_size=60),
    st.sampled_from(["wrong", "last_number"]),
)
def test_whatever_is_written_is_judged(text: str, otherwise: str):
    judge = Numeric(NumericConfig.model_validate({"otherwise": otherwise}))
    for response in (text, f"#### {text}", f"\\boxed{{{text}}}"):
        assert judge(episode(response, "3")) in (0.0, 1.0)


@pytest.mark.parametrize(
    "text", ["####", "\\boxed{", "1,", "1 ", "\\frac{", " ", "-", "**", "answer is", "( ", "1 1/", "}"]
)
def test_long_responses_are_judged_in_no_time(text: str):
    judge = Numeric(NumericConfig(otherwise="last_number"))
    started = time.process_time()
    judge(episode(f"#### {text * 20_000}", "3"))
    assert time.process_time() - started < 0.5
