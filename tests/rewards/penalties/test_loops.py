import math
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from espalier.rewards.penalties.loops import SCALES, has_loop, repeats, repeats_words

CLEAN = (
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May. Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April "
    "and May.\n#### 72"
)


def looped(text: str) -> bool:
    return has_loop(text, n=8, times=4, within=1000)


@given(
    unit=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
    cuts=st.tuples(st.integers(0, len(CLEAN)), st.integers(0, 59)),
    more=st.integers(0, 40),
)
@example(unit=" ", cuts=(0, 0), more=0)
@example(unit="\n", cuts=(40, 0), more=0)
@example(unit="x" * 59 + "y", cuts=(17, 3), more=0)
def test_every_planted_loop_is_found_at_every_place(unit: str, cuts: tuple[int, int], more: int):
    place, part = cuts
    loop = unit * (math.ceil(300 / len(unit)) + more) + unit[:part]
    assert looped(CLEAN[:place] + loop + CLEAN[place:])
    assert looped(CLEAN * 20 + loop)


@given(st.lists(st.text("abc,.", min_size=1, max_size=5), min_size=8, max_size=200), st.text("xyz", max_size=9))
def test_every_planted_loop_of_words_is_found(sentence: list[str], between: str):
    loop = f" {between} ".join([" ".join(sentence)] * 5)
    assert repeats_words(f"{CLEAN} {loop} {CLEAN}", n=8, times=4, within=1000)


def test_words_by_hand():
    four, five = ("so we add one and get two more " * n for n in (4, 5))
    assert not repeats_words(four, n=8, times=4, within=1000)
    assert repeats_words(five, n=8, times=4, within=1000)
    assert repeats_words("no " * 12, n=8, times=4, within=1000), "five of eight words overlap in twelve"
    assert not repeats_words("no " * 11, n=8, times=4, within=1000)
    assert repeats_words(four, n=8, times=3, within=1000)
    assert not repeats_words(four, n=9, times=3, within=1000), "nine words occur three times"
    apart = "so we add one and get two more " + " ".join(f"#{i}" for i in range(92)) + " "
    assert repeats_words("".join(apart.replace("#", f"{k}#") for k in range(5)), n=8, times=4, within=401)
    assert not repeats_words("".join(apart.replace("#", f"{k}#") for k in range(5)), n=8, times=4, within=400)
    assert not repeats_words("", n=8, times=4, within=1000)


def test_characters_by_hand():
    unit = "0123456789" * 6
    assert repeats(unit * 30, 60, 300)
    assert repeats("a" * 300, 60, 300)
    assert not repeats("a" * 299, 60, 300)
    wide = "".join(chr(0x100 + i) for i in range(60))
    assert repeats("-" * 77 + wide * 5 + "-" * 77, 60, 300)
    assert not repeats("-" * 77 + wide * 4 + wide[:59] + "-" * 77, 60, 300)
    wider = "".join(chr(0x100 + i) for i in range(61))
    assert not repeats(wider * 40, 60, 300)
    assert looped(wider * 50), "the larger of the scales"
    for longest, stretch in SCALES:
        assert stretch >= 5 * longest


@given(st.text("ab", max_size=60), st.integers(1, 3), st.integers(0, 6))
def test_characters_by_the_definition(text: str, longest: int, more: int):
    stretch = 5 * longest + more
    expected = any(
        all(part[i] == part[i + period] for i in range(stretch - period))
        for start in range(len(text) - stretch + 1)
        for period in range(1, longest + 1)
        if (part := text[start : start + stretch])
    )
    assert repeats(text, longest, stretch) == expected


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 4), st.integers(1, 4), st.integers(1, 40))
def test_words_by_the_definition(words: list[str], n: int, times: int, within: int):
    expected = False
    for start in range(len(words)):
        inside = range(start, min(start + within, len(words) - n + 1))
        counts = Counter(tuple(words[i : i + n]) for i in inside)
        expected = expected or max(counts.values(), default=0) > times
    assert repeats_words(" ".join(words), n, times, within) == expected


@pytest.mark.parametrize(
    "text",
    [
        CLEAN,
        "| a | b | c |\n" + "|---|---|---|\n" + "\n".join(f"| {i} | {i * i} | {i**3} |" for i in range(40)),
        "-" * 120 + "\n" + "=" * 120,
        " ".join(f"{i}*7={i * 7}" for i in range(300)),
        "\n".join(f"- item {i}" for i in range(200)),
        "0." + "3" * 200,
    ],
)
def test_what_repeats_and_goes_on_is_no_loop(text: str):
    assert not looped(text)
