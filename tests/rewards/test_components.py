import asyncio
import json
from fractions import Fraction

import pytest
from episodes import episode
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.data import DataRoot
from espalier.core.errors import EnvError
from espalier.rewards.answer import Answer, chosen
from espalier.rewards.environment import environment
from espalier.rewards.exact import ExactConfig, exact
from espalier.rewards.form import FormatConfig, form
from espalier.rewards.length import LengthConfig, length, soft_overlong
from espalier.rewards.mathematics.numeric import Numeric, NumericConfig, number
from espalier.rewards.overlap import F1Config, f1, word_f1
from espalier.rewards.pattern import Regex, RegexConfig
from espalier.rewards.repetition import RepetitionConfig, repetition


def numeric(response: str, answer: str, **settings: object) -> float:
    return Numeric(NumericConfig.model_validate(settings))(episode(response, answer))


@pytest.mark.data
def test_numeric_agrees_with_every_recorded_label_of_gsm8k():
    judge, checked = Numeric(NumericConfig()), 0
    path = DataRoot.find().file("text/gsm8k/model_solutions.jsonl")
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        answer = record["ground_truth"].rpartition("A:")[2]
        for solution in (value for value in record.values() if isinstance(value, dict)):
            assert judge(episode(solution["solution"], answer)) == float(solution["is_correct"]), solution
            checked += 1
    assert checked == 5276


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("6*7=42\n#### 42", "42"),
        ("#### 1,234", "1234"),
        ("#### $1,234.50", "1234.5"),
        ("#### -7", "-7"),
        ("#### -$7", "-7"),
        ("#### 3/4", "0.75"),
        ("#### 50%", "50"),
        ("#### .5", "1/2"),
        ("#### 18 dollars.", "18"),
        ("The answer is 18.", "18"),
        ("so it is \\boxed{18}", "18"),
        ("#### 3\nno, wait\n#### 18", "18"),
        ("The answer is: 007", "7"),
        ("A: 18", "#18".lstrip("#")),
    ],
)
def test_numeric_right(response: str, answer: str):
    assert numeric(response, answer) == 1.0


@pytest.mark.parametrize(
    "response",
    [
        *("", "18", "####", "#### eighteen", "#### 18\n#### 19", "#### 1 8", "#### 180", "#### NaN", "#### 1e400"),
        *("answer 18", "#### inf", "#### ١٨", "#### 18/0", "#### 0x12", "#### 1.8.1", "#### --18"),
        "####" + "9" * 100_000,
    ],
)
def test_numeric_wrong(response: str):
    assert numeric(response, "18") == 0.0


def test_numeric_options():
    assert numeric("I think 3 of the 18", "18", otherwise="last_number") == 1.0
    assert numeric("#### 3, not 18", "18", otherwise="last_number") == 0.0, "a marked number wins"
    assert numeric("=> 18", "18", markers=["=>"]) == 1.0
    assert numeric("#### 18", "18", markers=["=>"]) == 0.0
    assert numeric("#### 3.1416", "3.14159", tolerance=1e-5) == 1.0
    assert numeric("#### 3.1418", "3.14159", tolerance=1e-5) == 0.0
    assert numeric("18", "18", markers=[], otherwise="last_number") == 1.0


@given(st.integers(-(10**12), 10**12), st.integers(0, 3))
def test_numeric_does_not_care_how_a_number_is_written(value: int, decimals: int):
    forms = [f"{value}", f"{value:,}", f"{value}.{'0' * (decimals + 1)}", f"{value * 6}/6", f" {value} "]
    assert {number(form) for form in forms} == {Fraction(value)}
    assert numeric(f"#### {value:,}", str(value)) == 1.0
    assert numeric(f"#### {value + 1}", str(value)) == 0.0


def test_a_reference_that_cannot_be_compared_with_is_an_error():
    with pytest.raises(EnvError, match="sums: the reference answer 'many' is no number"):
        numeric("#### 3", "many")
    with pytest.raises(EnvError, match="sums: the task has no reference answer for the reward 'numeric'"):
        numeric("#### 3", "")


def test_exact():
    def judge(response: str, answer: str, **settings: object) -> float:
        return exact(ExactConfig.model_validate(settings), episode(response, answer))

    assert judge(" Paris\n", "Paris") == 1.0
    assert judge("New \t York", "New York") == 1.0
    assert judge("paris", "Paris") == 0.0
    assert judge("paris", "Paris", ignore_case=True) == 1.0
    assert judge("so: #x #Paris", "Paris", marker="#") == 1.0
    assert judge("Paris", "Paris", marker="#") == 0.0
    with pytest.raises(EnvError, match="no reference answer"):
        judge("Paris", "")


def test_f1_by_hand():
    def judge(response: str, answer: str) -> float:
        return f1(F1Config(), episode(response, answer))

    assert judge("Paris.", "Paris") == 1.0
    assert judge("The capital of France is Paris.", "Paris") == pytest.approx(1 / 3), "precision 1/5, recall 1"
    assert judge("It's Paris", "Paris") == pytest.approx(2 / 3)
    assert judge("San José", "San Jose") == 0.5
    assert judge("very very good", "very good very") == 1.0, "the order does not count"
    assert judge("very very very", "very good") == pytest.approx(2 / 5), "a word counts as often as in both"
    assert judge("I do not know. Answer: Paris", "paris") == 1.0, "what follows the announcement"
    assert judge("Lyon", "Paris") == judge("", "Paris") == judge("the", "Paris") == 0.0
    with pytest.raises(EnvError, match="no reference answer for the reward 'f1'"):
        judge("Paris", "")
    assert judge("+", "+") == judge("the", "the") == 1.0, "nothing is left of these, so they are compared as they are"
    assert judge("-", "+") == 0.0
    choice = episode("A", "A")
    choice.task.data["choices"] = ["x", "y"]
    with pytest.raises(EnvError, match="the reward 'f1' compares words, and the task has choices"):
        f1(F1Config(), choice)


@given(st.lists(st.sampled_from("abcd"), max_size=6), st.lists(st.sampled_from("abcd"), max_size=6))
def test_f1_is_the_harmonic_mean_of_precision_and_recall(said: list[str], expected: list[str]):
    value = word_f1(said, expected)
    assert value == word_f1(expected, said)
    assert (value == 1.0) == (sorted(said) == sorted(expected) != [])
    left = list(expected)
    shared = sum(1 for word in said if word in left and not left.remove(word))
    if shared:
        precision, recall = shared / len(said), shared / len(expected)
        assert value == pytest.approx(2 * precision * recall / (precision + recall))
    else:
        assert value == 0.0


def test_format():
    def judge(response: str, reasoning: str = "", finish: str = "stop", **settings: object) -> float:
        return form(FormatConfig.model_validate(settings), episode(response, reasoning=reasoning, finish=finish))

    assert judge("42") == 1.0
    assert judge("  ") == 0.0
    assert judge("42", finish="length") == 0.0
    assert judge("42", finish="length", ended=False) == 1.0
    assert judge("42", thinking="required") == 0.0
    assert judge("42", " \n", thinking="required") == 0.0
    assert judge("42", "hm", thinking="required") == 1.0
    assert judge("42", "hm", thinking="forbidden") == 0.0
    assert judge("a #### 42", once=["####"]) == 1.0
    assert judge("#### 4 #### 2", once=["####"]) == 0.0
    assert judge("42", once=["####"]) == 0.0


def test_format_of_tags_and_boxes():
    def judge(response: str, reasoning: str = "", **settings: object) -> float:
        return form(FormatConfig.model_validate(settings), episode(response, reasoning=reasoning))

    whole = "<think>so</think><answer>42</answer>"
    assert judge(whole, tags=True) == judge(whole, tags=True, thinking="required") == 1.0
    assert judge("<answer>42</answer>", tags=True) == 1.0
    assert judge("<answer>42</answer>", tags=True, thinking="required") == 0.0
    assert judge("<answer>42</answer>", "so", tags=True, thinking="required") == 1.0
    assert judge(whole, tags=True, thinking="forbidden") == 0.0
    malformed = ["42", whole + "!", "<think>so</think>42", "<answer></answer>", "<answer>42", whole * 2]
    assert [judge(text, tags=True) for text in malformed] == [0.0] * 6
    assert [judge(text) for text in malformed] == [1.0] * 6, "asked for nothing"
    boxed = ["\\boxed{42}", "<|begin_of_box|>42<|end_of_box|>", "<answer>\\boxed{42}</answer>"]
    empty = ["\\boxed{}", "\\boxed{42", "<|begin_of_box|>"]
    none = ["42", "boxed{42}"]
    assert [judge(text, box="required") for text in (*boxed, *empty, *none)] == [1.0] * 3 + [0.0] * 5
    assert [judge(text, box="forbidden") for text in (*boxed, *empty, *none)] == [0.0] * 6 + [1.0] * 2


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 1000))
def test_length_falls_from_zero_to_minus_one(a: int, b: int, tokens: int):
    limit, buffer = max(a, b), min(a, b)
    value = soft_overlong(tokens, limit, buffer)
    assert -1.0 <= value <= 0.0
    assert soft_overlong(limit - buffer, limit, buffer) == 0.0
    assert soft_overlong(limit, limit, buffer) == -1.0
    assert soft_overlong(tokens + 1, limit, buffer) <= value


def test_length_by_hand():
    assert [soft_overlong(n, 20480, 4096) for n in (16384, 18432, 20480, 30000)] == [0.0, -0.5, -1.0, -1.0]
    assert length(LengthConfig(limit=10, buffer=4), episode("x", tokens=8)) == -0.5
    with pytest.raises(ValueError, match="must not exceed limit"):
        LengthConfig(limit=4, buffer=5)


def test_repetition_by_hand():
    def share(text: str, n: int = 2, unit: str = "word") -> float:
        return repetition(RepetitionConfig.model_validate({"n": n, "unit": unit}), episode(text))

    assert share("a b c d e") == 0.0
    assert share("a b a b a b") == pytest.approx(1 - 2 / 5)
    assert share("a a a a a") == pytest.approx(1 - 1 / 4)
    assert share("aaaaaaaaaa") == 0.0
    assert share("aaaaaaaaaa", unit="character") == pytest.approx(1 - 1 / 9)
    assert share("") == share("a") == share("a b") == 0.0


@given(st.text(max_size=200), st.integers(1, 5), st.sampled_from(["word", "character"]))
def test_repetition_is_a_share_and_does_not_fall_when_a_text_is_said_twice(text: str, n: int, unit: str):
    config = RepetitionConfig.model_validate({"n": n, "unit": unit})
    value = repetition(config, episode(text))
    assert 0.0 <= value < 1.0
    thrice = (" " if unit == "word" else "").join([text] * 3)
    assert repetition(config, episode(thrice)) >= value - 1e-9


def test_regex():
    def judge(pattern: str, response: str, **settings: object) -> float:
        regex = Regex(RegexConfig.model_validate({"pattern": pattern, **settings}))
        return asyncio.run(regex(episode(response)))

    assert judge(r"\d+", "so 42") == 1.0
    assert judge(r"\d+", "so 42", whole=True) == 0.0
    assert judge(r"(?s)so.*42", "so\n42", whole=True) == 1.0
    with pytest.raises(ValueError, match="is no regular expression"):
        judge("(", "x")


def test_a_regex_that_backtracks_without_end_is_cut_off():
    evil = Regex(RegexConfig(pattern=r"(a|aa|b?)+$c", seconds=0.2))
    assert asyncio.run(evil(episode("a" * 5000 + "!"))) == 0.0


def test_env():
    assert environment(episode("x", env_reward=0.25)) == 0.25
    assert [environment(episode(text, "7")) for text in ("so 7", "#### 8")] == [1.0, 0.0], "the reference decides"
    with pytest.raises(EnvError, match=r"sums: there is no reference answer, and the environment gives no reward"):
        environment(episode("x"))


@pytest.mark.parametrize(
    ("reference", "right", "wrong"),
    [
        (
            "1,234",
            ["1234", "it is 1234", "9 of them\n#### 1234", "\\boxed{1234}"],
            ["", "1234 or 5", "1235", "1234\n#### 5"],
        ),
        (
            "The Eiffel Tower",
            [
                "eiffel tower",
                " The Eiffel tower. ",
                "So the answer is: Eiffel Tower.\nI am sure.",
                "\\boxed{Eiffel Tower}",
            ],
            ["", "the", "Eiffel", "Eiffel Tower or Louvre", "Eiffel Tower\n#### Louvre"],
        ),
        ("+", ["+", " + "], ["", "-", "++"]),
    ],
)
def test_answers_by_the_form_of_the_reference(reference: str, right: list[str], wrong: list[str]):
    judge = Answer()
    assert [judge(episode(text, reference)) for text in right] == [1.0] * len(right)
    assert [judge(episode(text, reference)) for text in wrong] == [0.0] * len(wrong)


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        (" (B)", "B"),
        ("B) a dog", "B"),
        ("**B.** because", "B"),
        ("B\nA is wrong", "B"),
        ("A dog", "B"),
        ("dog", "B"),
        ("Not A. The answer is (B).", "B"),
        ("A or C? Answer: C", "C"),
        ("A or C?\n**Answer:**\n\nC", "C"),
        ("\\boxed{C}", "C"),
        ("Option C: the fish", "C"),
        ("A cat sat", None),
        ("A or B", None),
        ("E", None),
        ("AB", None),
        ("", None),
        ("\\boxed{A} or \\boxed{B}", None),
    ],
)
def test_the_choice_that_a_response_takes(response: str, letter: str | None):
    assert chosen(response, ["a cat", "a dog", "the fish", "a bird"]) == letter


def test_equal_choices_are_told_apart_by_letter_only():
    assert [chosen(text, ["one", "one", "two"]) for text in ("one", "B", "two")] == [None, "B", "C"]
