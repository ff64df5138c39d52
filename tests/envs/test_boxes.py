import re
import time

from hypothesis import given
from hypothesis import strategies as st

from espalier.envs.boxes import last_box_is_open, last_boxes


def whole_boxes(text: str) -> list[str]:
    """Contents of all whole boxes, by the definition: from each box, braces are counted until it closes."""
    found, place = [], 0
    while box := re.compile(r"\\f?boxed\s*\{").search(text, place):
        depth = 1
        for end in range(box.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                found.append(text[box.end() : end].strip())
                place = end + 1
                break
        else:
            place = box.end()
    return found


@given(st.lists(st.sampled_from(["\\boxed{", "\\fboxed {", "{", "}", "a", " ", "or", ",", "x."]), max_size=14))
def test_the_last_whole_box_is_found_by_the_definition(parts: list[str]):
    text = "".join(parts)
    expected, found = whole_boxes(text), last_boxes(text)
    assert found == (expected[-len(found) :] if found else [])
    assert bool(found) == bool(expected)


def test_an_open_box_counts_only_if_it_is_the_last():
    assert not last_box_is_open("\\boxed{3}")
    assert last_box_is_open("\\boxed{3} no, \\boxed{4")
    assert last_box_is_open("\\boxed{")
    assert not last_box_is_open("\\boxed{ \\boxed{3}"), "it is a whole box"
    assert not last_box_is_open("a { b")


def test_long_texts_take_linear_time():
    texts = ["\\boxed{" * 20_000, "\\boxed{" * 20_000 + "}" * 20_000, "\\boxed{1}" + " " * 200_000 + "x\\boxed{2}"]
    for text in texts:
        started = time.process_time()
        last_boxes(text)
        assert time.process_time() - started < 0.5
