from fractions import Fraction

import pytest
from episodes import episode
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import EnvError
from espalier.core.messages import Message
from espalier.envs.api import Episode, Task
from espalier.rewards.domains.chart import ChartConfig, chart
from espalier.rewards.domains.choice import ChoiceConfig, choice
from espalier.rewards.domains.count import CountConfig, count
from espalier.rewards.domains.ocr import LONGEST, OcrConfig, edit_distance, ocr, similarity

CHOICES = ("a cat", "a dog", "12", "the fish, or a bird")


def test_charts_by_hand():
    def judge(answer: str, reference: str, **settings: object) -> float:
        return chart(ChartConfig.model_validate(settings), episode(f"\\boxed{{{answer}}}", reference))

    assert [judge(said, "40") for said in ("41", "39", "41.01", "38.99", "40.0", "-40")] == [1, 1, 0, 0, 1, 0]
    assert [judge(said, "1999") for said in ("1999", "2000", "1998", "1999.0", "2024")] == [1, 0, 0, 1, 0]
    assert [judge(said, "3000") for said in ("3000", "2999", "3001")] == [1, 0, 1], "3001 is no year"
    assert [judge(said, "3001") for said in ("3000", "3075", "3077")] == [1, 1, 0], "no year, so within 2.5%"
    assert [judge(said, "2450.5") for said in ("2450", "2500", "2600")] == [1, 1, 0], "no integer, so no year"
    assert [judge(said, "12.5%") for said in ("12.5", "12.4 %", "0.125", "13")] == [1, 1, 0, 0]
    assert [judge(said, "1.2 million") for said in ("1200000", "1.2M", "$1.21 million", "1.2")] == [1, 1, 1, 0]
    assert [judge(said, "0") for said in ("0", "0.001", "")] == [1, 0, 0]
    assert [judge(said, "New Zealand") for said in ("new zealand", "The New Zealand.", "Zealand", "5")] == [1, 1, 0, 0]
    assert [judge(said, "40") for said in ("40 or 41", "40-41", "forty", "40, 41")] == [0, 0, 0, 0]
    assert judge("41", "40", tolerance=0.01) == 0.0
    with pytest.raises(EnvError, match="no reference answer for the reward 'chart'"):
        judge("41", "")


@given(st.integers(1000, 3000), st.integers(1000, 3000))
def test_years_are_exact(year: int, said: int):
    assert chart(ChartConfig(), episode(f"<answer>{said}</answer>", str(year))) == float(said == year)


@given(st.integers(1, 10**6).filter(lambda n: not 1000 <= n <= 3000), st.fractions(-1, 1))
def test_other_numbers_are_right_within_the_tolerance(value: int, share: Fraction):
    said = value * (1 + share)
    assert chart(ChartConfig(), episode(f"\\boxed{{{said}}}", str(value))) == float(
        abs(share) <= ChartConfig().tolerance
    )


def test_counts_by_hand():
    def judge(answer: str, reference: str = "12", **settings: object) -> float:
        return count(CountConfig.model_validate(settings), episode(f"\\boxed{{{answer}}}", reference))

    right = ["12", "12.0", "12 apples", "twelve", "Twelve.", "x = 12", "**12**", "24/2"]
    wrong = ["13", "12.1", "11.999", "12 or 13", "thirteen", "two", "twelve or so", "", "1e999999999", "-12", "12-13"]
    assert [judge(said) for said in right] == [1.0] * len(right)
    assert [judge(said) for said in wrong] == [0.0] * len(wrong)
    assert judge("twelve", words=False) == 0.0
    assert [judge(said, "twenty-one") for said in ("21", "Twenty one", "twenty-one", "twenty", "one")] == [
        1,
        1,
        1,
        0,
        0,
    ]
    assert judge("0", "zero") == judge("zero", "0") == 1.0
    with pytest.raises(EnvError, match=r"sums: the reference answer '1\.5' is no integer"):
        judge("1", "1.5")


@given(st.integers(-(10**9), 10**9), st.integers(-3, 3))
def test_counts_are_exact(value: int, off: int):
    assert count(CountConfig(), episode(f"\\boxed{{{value + off}}}", str(value))) == float(off == 0)


def asked(response: str, answer: str = "B", choices: tuple[str, ...] = CHOICES) -> Episode:
    data = {"answer": answer, "choices": list(choices)} if choices else {"answer": answer}
    return Episode(Task("quiz", "k", data), [Message.user("?"), Message.assistant(response)])


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        *(
            (said, "B")
            for said in ("B", "b", "(B)", "B.", "B)", "**B**", "B) a dog", "B a dog", "(B) A dog.", "Option B")
        ),
        *((said, "B") for said in ("a dog", "A dog", "dog", "choice (B)", "B: a dog", "{B}")),
        *((said, "C") for said in ("C", "12", "C) 12", "12.0", "twelve or C"[10:])),
        *((said, "D") for said in ("the fish, or a bird", "D. The fish, or a bird")),
        *((said, "") for said in ("A or B", "A, B", "AB", "E", "B) a cat", "A) B)", "B or C", "dogs", "13", "?")),
        *((said, "") for said in ("not B", "B, I think, or C", "BB", "B1", "the answer is B")),
    ],
)
def test_the_choice_that_an_answer_takes(answer: str, letter: str):
    taken = [right for right in "ABCD" if choice(ChoiceConfig(), asked(f"\\boxed{{{answer}}}", right))]
    assert taken == ([letter] if letter else [])


def test_letters_without_known_choices():
    def judge(answer: str) -> float:
        return choice(ChoiceConfig(), asked(f"<answer>{answer}</answer>", "B", ()))

    assert [judge(said) for said in ("B", "b", "(B)", "B) whatever it says", "B. so it is")] == [1.0] * 5
    assert [judge(said) for said in ("A", "B or C", "Because", "B and more", "B) C)", "", "B C")] == [0.0] * 7


def test_a_letter_is_that_of_a_choice_before_it_is_the_text_of_another():
    def taken(said: str, choices: tuple[str, ...]) -> str:
        return "".join(
            x for x in "ABCD"[: len(choices)] if choice(ChoiceConfig(), asked(f"\\boxed{{{said}}}", x, choices))
        )

    vitamins = ("C", "A", "B", "D")
    assert [taken(said, vitamins) for said in ("A", "B", "C", "B) A", "B) D")] == ["A", "B", "C", "B", ""]
    assert [taken(said, ("one", "one", "two")) for said in ("one", "B", "B) one", "two")] == ["", "B", "B", "C"]


def test_choices_to_fill_in():
    def judge(answer: str, right: str = "B") -> float:
        return choice(ChoiceConfig(fill_in=True), asked(f"\\boxed{{{answer}}}", right))

    assert [judge(said) for said in ("a dog", "Dog.", "The dog")] == [1.0] * 3
    assert [judge(said) for said in ("B", "(B)", "B) a dog", "a cat", "", "dog or cat")] == [0.0] * 6
    assert [judge(said, "C") for said in ("12", "12.0", "12 apples", "C", "13")] == [1.0, 1.0, 1.0, 0.0, 0.0]
    with pytest.raises(EnvError, match="needs the task's choices"):
        choice(ChoiceConfig(fill_in=True), asked("\\boxed{a dog}", "B", ()))
    for reference in ("E", "a dog", "AB"):
        with pytest.raises(EnvError, match="no letter of a choice"):
            choice(ChoiceConfig(), asked("\\boxed{B}", reference))


def levenshtein(one: str, other: str) -> int:
    """The table, row by row."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row = row, [i]
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


@given(st.text("abcß汉", max_size=12), st.text("abcdß汉", max_size=12))
def test_the_edit_distance_is_that_of_the_table(one: str, other: str):
    assert edit_distance(one, other) == levenshtein(one, other) == edit_distance(other, one)
    assert 0.0 <= similarity(one, other) <= 1.0
    assert (similarity(one, other) == 1.0) == (one == other)


@given(st.text("ab", min_size=65, max_size=200), st.text("ab", max_size=200))
def test_the_edit_distance_of_longer_texts(one: str, other: str):
    assert edit_distance(one, other) == levenshtein(one, other)


def test_ocr_by_hand():
    def judge(answer: str, reference: str, **settings: object) -> float:
        return ocr(OcrConfig.model_validate(settings), episode(f"<answer>{answer}</answer>", reference))

    assert judge("kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert judge("kitten", "kitten") == 1.0
    assert judge("abc", "xyz") == 0.0
    assert judge(" two  words\n", "two words") == 1.0
    assert judge("twowords", "two words") == pytest.approx(1 - 1 / 9)
    assert judge("twowords", "two words", spaces="dropped") == 1.0
    assert judge("two  words", "two words", spaces="kept") == pytest.approx(1 - 1 / 10)
    assert judge("TWO words", "two words") == pytest.approx(1 - 3 / 9)
    assert judge("TWO words", "two words", ignore_case=True) == 1.0
    assert judge("x" * 1000, "x") == pytest.approx(0.001)


def test_ocr_of_nothing_divides_by_nothing():
    assert similarity("", "") == 1.0
    assert similarity("", "a") == similarity("a", "") == 0.0
    assert ocr(OcrConfig(), episode("<answer></answer>", "a")) == 0.0
    assert ocr(OcrConfig(), episode("<answer> </answer>", " ")) == 0.0, "an empty answer is none"
    assert ocr(OcrConfig(spaces="dropped"), episode("<answer>a</answer>", " \n")) == 0.0
    with pytest.raises(EnvError, match="no reference answer for the reward 'ocr'"):
        ocr(OcrConfig(), episode("<answer></answer>", ""))
    assert ocr(OcrConfig(), episode(f"<answer>{'a' * (LONGEST + 1)}</answer>", "a" * LONGEST)) == 0.0
    with pytest.raises(EnvError, match="the reference has 8001 characters, 'ocr' compares 8000"):
        ocr(OcrConfig(), episode("<answer>a</answer>", "a" * 8001))
