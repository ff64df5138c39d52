import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from espalier.core.recipe import yaml12


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-1.", -1.0),
        ("+1.5e+3", 1500.0),
        ("010", 10),
        ("1_000", 1000),
        ("-7", -7),
        ("true", True),
        ("null", None),
        ("~", None),
        ("-.inf", -math.inf),
        ("on", "on"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e", "1e"),
        ("0x1f", "0x1f"),
        ("'3e-4'", "3e-4"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    loaded = yaml12.load(text)
    assert loaded == value
    assert type(loaded) is type(value)


def test_nan() -> None:
    assert math.isnan(yaml12.load(".nan"))


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain_data)
@example({"a": "3e-4", "b": 3e-4, "c": "010", "d": "on", "e": "null", "f": "", "g": 1e-05, "h": "1_0", "i": "~"})
def test_what_is_dumped_reads_back(value: Any) -> None:
    loaded = yaml12.load(yaml12.dump(value))
    assert loaded == value
    assert repr(loaded) == repr(value)
