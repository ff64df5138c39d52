import sys
import unicodedata
from string import punctuation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.rewards.penalties.garbled import garbled, has_foreign, scripts


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("The answer is 4\ufffd2.", "replacement"),
        ("so\x00it is", "control"),
        ("\x1b[31mred", "control"),
        ("\x9c", "control"),
        ("\ud83d", "control"),
        ("icon \ue0b0", "control"),
        ("we get bcdfghjklmnpqrstvwxzbcdf here", "letters"),
        ("XkCdVvBnMqWrTzPlKjHgFdSxC", "letters"),
        ("so #@!%^&*;:~|?/=+-_'`.,$\\#@ it", "signs"),
        ("a" + "\u0301" * 5, "marks"),
    ],
)
def test_planted_garbles_are_found(text: str, sign: str):
    assert garbled(text) == {sign}
    assert garbled(f"12 + 3 = 15.\n{text}\n#### 15") == {sign}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tabs\tand\r\nlines\x0b\x0c\x85",
        "z" * 400,
        "hmm" * 20,
        "ABCDABDCCDBACDBBDCCDBBDCDBCBDCBDB",
        "rhythms and strengths",
        "." * 300,
        "-=" * 100,
        "|:---|---:|:--:|---|---|",
        "}}}}})))]]]]>>>>{{{{((((",
        "∑∫≤≥≠±×÷ 👩‍👩‍👧 naïve Å é ñ ü",
        "$$\\frac{\\left(\\sqrt{x^{2}}\\right)}{\\{y\\}}\\Bigr)^{-1}.$$",
        "ḥ̱ạ̄",
        "使用 Python 编程，答案是 42。",
        "نص عربي",
        "हिन्दी में",
        "bcdfghjklmnpqrstvwxzbcd",
        punctuation,
    ],
)
def test_clean_texts_are_not(text: str):
    assert garbled(text) == set()


def test_control_characters_are_those_of_unicode():
    for code in range(sys.maxunicode + 1):
        one = chr(code)
        expected = unicodedata.category(one) in ("Cc", "Cs", "Co") and not one.isspace()
        assert ("control" in garbled(one)) == expected, hex(code)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Z"]), max_size=80), st.integers(0, 80))
def test_a_planted_character_is_found_at_every_place(text: str, place: int):
    assert "replacement" in garbled(text[:place] + "\ufffd" + text[place:])
    assert "control" in garbled(text[:place] + "\x07" + text[place:])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is 答案 42", {"CJK"}),
        ("ひらがな カタカナ 漢字 ㄅ", {"CJK"}),
        ("정답은 42", {"HANGUL"}),
        ("Ответ and نص and १ हिन्दी", {"CYRILLIC", "ARABIC", "DEVANAGARI"}),
        ("Аnswer", {"CYRILLIC"}),
        ("α + β = Ω, naïve µm ℵ ℝ 𝐱 ª Å", set()),
        ("42 = 6*7!", set()),
        ("", set()),
    ],
)
def test_scripts(text: str, expected: set[str]):
    assert scripts(text) == expected
    assert has_foreign(text, set()) == bool(expected)
    assert not has_foreign(text, expected)


@given(st.text(max_size=40), st.sampled_from("答Жहع한"))
def test_one_foreign_letter_is_found_in_a_long_text(text: str, letter: str):
    assert has_foreign("x" * 30_000 + letter + text, scripts("only Latin"))
    assert not has_foreign("x" * 30_000 + letter, scripts(letter))
