import pytest
from episodes import episode
from hypothesis import given
from hypothesis import strategies as st

from espalier.rewards.domains.marked import VerifierConfig, boxed, marked, read_number, said, tagged

B, E = "<|begin_of_box|>", "<|end_of_box|>"


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("so \\boxed{5}", "5"),
        ("\\boxed{4}. No: \\boxed{5}", "5"),
        ("\\boxed{5} and \\boxed{6}", "5, 6"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{{{5}}}", "{{5}}"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("\\boxed{ 5 }", "5"),
        ("\\fbox{4} \\fboxed{5}", "5"),
        (f"it is {B}5{E}", "5"),
        (f"{B}4{E} or rather {B}5{E}", "5"),
        (f"{B}\\boxed{{5}}{E}", "5"),
        (f"{B}5{E}, not \\boxed{{4}}", "5"),
        ("<answer>5</answer>", "5"),
        ("<answer>4</answer><answer>5</answer>", "5"),
        ("<answer>it is \\boxed{5}</answer>", "5"),
        (f"<answer>the value is {B}5{E} m</answer>", "5"),
        ("\\boxed{4} <answer>5</answer> \\boxed{6}", "5"),
        ("<think>\\boxed{4}</think>\\boxed{5}", "5"),
        ("<think>4</think><answer>5</answer>", "5"),
        # no answer
        ("\\boxed{}", ""),
        ("\\boxed{  }", ""),
        ("\\boxed{\\boxed{}}", ""),
        (f"{B}{E}", ""),
        (f"{B} {E}", " "),
        ("<answer></answer>", ""),
        ("\\boxed{5}. As asked, I put it into \\boxed{}", ""),
        ("\\boxed{5}. Wait: \\boxed{6", ""),
        ("\\boxed{5", ""),
        ("\\boxed{{5}", ""),
        (f"{B}5", ""),
        (f"{B}4{E} {B}5", ""),
        ("<answer>5", ""),
        ("<answer>4</answer> <answer>5", ""),
        ("<answer>\\boxed{5</answer>", ""),
        ("<think>I put \\boxed{5} into", ""),
        ("<think>a</think> b <think>\\boxed{5}", ""),
        # no mark
        ("5", None),
        ("the answer is 5", None),
        ("#### 5", None),
        ("<think>\\boxed{5}</think> it is 5", None),
        ("<think>x</think>", None),
        ("5</answer>", None),
        ("boxed{5}", None),
        ("", None),
    ],
)
def test_the_marked_answer(response: str, answer: str | None):
    assert marked(response) == answer
    assert marked(f"The question has a 17 in it.\n{response}\n") == answer


@given(
    st.text(max_size=80), st.sampled_from(["\\boxed{%s}", f"{B}%s{E}", "<answer>%s</answer>"]), st.text("0123456789 x")
)
def test_what_is_marked_is_found_whatever_stands_around(around: str, mark: str, answer: str):
    before, after = around[:40].replace("{", "").replace("<", ""), around[40:].replace("{", "").replace("<", "")
    assert (marked(before + mark % answer + after) or "").strip() == answer.strip()


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", B, E, "\\boxed{", "{", "}", "5", " "]))
)
def test_whatever_is_marked_stands_in_the_response(parts: list[str]):
    response = "".join(parts)
    answer = marked(response)
    assert answer is None or all(part in response for part in answer.split(", "))
    assert answer is None or answer == "" or any(mark in response for mark in ("<answer>", B, "\\boxed{"))


def test_a_response_that_was_cut_off_has_no_answer():
    strict, lenient = VerifierConfig(), VerifierConfig(unmarked="announced")
    for finish in ("length", "abort"):
        assert said(strict, episode("\\boxed{5}", finish=finish)) is None
        assert said(lenient, episode("The answer is 5", finish=finish)) is None
    assert said(strict, episode("\\boxed{5}")) == "5"


def test_unmarked_answers_count_only_if_asked_for():
    strict, lenient = VerifierConfig(), VerifierConfig(unmarked="announced")
    for response in ("#### 5", "The answer is 5", "Answer: 5\nbecause", "5", " 5 "):
        assert said(strict, episode(response)) is None
        assert (said(lenient, episode(response)) or "").rstrip(".") == "5"
    for response in ("\\boxed{} so 5", "\\boxed{5", "<answer>5", f"{B}{E} 5"):
        assert said(lenient, episode(response)) is None, "a mark that holds nothing is no answer"
    assert said(lenient, episode("")) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>a</think><answer>b</answer>", ("a", "b")),
        (" <think> a </think>\n <answer>\nb</answer>\n", ("a", "b")),
        ("<answer>b</answer>", ("", "b")),
        ("<think>a</think><answer></answer>", None),
        ("<think></think><answer>b</answer>", None),
        ("<think>a</think>b", None),
        ("<think>a<answer>b</answer>", None),
        ("a</think><answer>b</answer>", None),
        ("<think>a</think>x<answer>b</answer>", None),
        ("<think>a</think><answer>b</answer>x", None),
        ("<think>a</think><answer>b</answer><answer>c</answer>", None),
        ("<think>a</think><think>b</think><answer>c</answer>", None),
        ("<answer>b</answer><think>a</think>", None),
        ("<think>a</think><answer>b", None),
        ("</think><answer>b</answer>", None),
        ("", None),
    ],
)
def test_the_form_of_thought_and_answer(text: str, parts: tuple[str, str] | None):
    assert tagged(text) == parts


def test_boxes_are_told_from_none():
    assert boxed("a box{}") is None
    assert boxed("\\boxed{") == ""
    assert boxed("\\boxed{5}") == boxed(f"{B}5{E}") == "5"


@pytest.mark.parametrize(
    ("text", "number"),
    [("5", 5), ("x = 5", 5), ("5 apples", 5), ("1,250", 1250), ("12.5%", 12.5), ("$5", 5), ("5, not 6", 5), ("-3", -3)]
    + [(text, None) for text in ("", "five", "5 or 6", "5-6", "5\n6", "about", "1e999999999", "9" * 201, "not 5")],
)
def test_numbers_of_answers(text: str, number: float | None):
    assert read_number(text) == number
