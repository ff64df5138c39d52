from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.io.strict_json import BODY_PARTS, DEPTH, has_more_parts, loads

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(SCALARS | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


@given(VALUES)
def test_what_json_can_write_is_read(value: Any) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NaN", "NaN is no number"),
        ('{"a": [-Infinity]}', "-Infinity is no number"),
        ('{"a": [0, 1e999]}', r"a\.1: a number is too large"),
        (r'{"a": {"b": "x\ud800"}}', r"a\.b: \\ud800 is half a character"),
        (r'{"a": {"\udc00": 1}}', r"a key of a: \\udc00 is half"),
        (b'["\xed\xa0\x80"]', r"0: \\ud800 is half"),
        (b'"\xff"', "not UTF-8: byte 1 is 0xff"),
        ("[" * 100_000, "levels deep"),
        ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), f"more than {DEPTH} levels"),
        ("9" * 5000, "4300 digits"),
        ('{"a": }', "line 1, column 7"),
        ("", "Expecting value"),
    ],
)
def test_faults_are_named(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        loads(text)


def test_the_deepest_and_the_largest_are_read() -> None:
    deep = loads("[" * DEPTH + "]" * DEPTH)
    assert json.dumps(deep).count("[") == DEPTH
    assert loads("1.7976931348623157e308") < math.inf
    assert loads(b"\xef\xbb\xbf[1]") == [1]
    assert loads(r'"\ud83d\ude00"') == "\U0001f600"


def test_the_way_to_a_value_is_not_kept_for_each_in_full() -> None:
    text = json.dumps({"k" * 100_000: [""] * 2000})
    tracemalloc.start()
    loads(text)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10_000_000


@pytest.mark.parametrize("text", ['[["a", {}, 1]]', '[{"a": 1, "b": ""}]'])
def test_parts_are_counted(text: str) -> None:
    parts = 3 if "[[" in text else 4
    assert loads(text, most=parts) == json.loads(text)
    with pytest.raises(ValueError, match=rf"more than {parts - 1} texts, keys, lists and objects"):
        loads(text, most=parts - 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def parts_of(value: object) -> int:
    if isinstance(value, dict):
        return sum(1 + isinstance(one, str | list | dict) + parts_of(one) for one in value.values())
    if isinstance(value, list):
        return sum(isinstance(one, str | list | dict) + parts_of(one) for one in value)
    return 0


@given(st.lists(JSON) | st.dictionaries(st.text(), JSON), st.booleans())
def test_parts_are_counted_without_reading(value: object, ascii_only: bool) -> None:
    text, parts = json.dumps(value, ensure_ascii=ascii_only), parts_of(value)
    assert not has_more_parts(text, parts)
    assert has_more_parts(text, parts - 1)


def test_millions_of_parts_are_refused_before_anything_is_made_of_them() -> None:
    body = b'{"prompt": [' + b",".join([b"[1]"] * 2_000_000) + b"]}"
    tracemalloc.start()
    with pytest.raises(ValueError, match="more than 65,536 texts"):
        loads(body, most=BODY_PARTS)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 * len(body)
