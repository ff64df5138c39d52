import re
import time

from hypothesis import example, given
from hypothesis import strategies as st

from espalier.envs.boxes import last_box_is_open, last_boxes


def side_by_side(text: str) -> list[str]:
    """The last boxes by the definition: from each box, braces are counted until it closes; words part boxes."""
    found: list[str] = []
    place, before = 0, 0
    while box := re.compile(r"\\f?boxed\s*\{").search(text, place):
        depth, end = 1, box.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        place = box.end() if depth else end
        if not depth:
            words = re.sub(r"[\s,;.$]", "", text[before : box.start()])
            found = [*(found if words in ("", "or") else []), text[box.end() : end - 1].strip()]
            before = end
    return found


@given(st.lists(st.sampled_from(["\\boxed{", "\\fboxed {", "{", "}", "a", " ", "or", ",", "x;"]), max_size=14))
@example(["\\boxed{", "a", "}", " ", "\\boxed{", "x;", "\\boxed{", "a", "}", "}"])
def test_the_last_boxes_are_found_by_the_definition(parts: list[str]):
    text = "".join(parts)
    assert last_boxes(text) == side_by_side(text)


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
