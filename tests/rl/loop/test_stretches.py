"""Which part of a text which weights sampled."""

from hypothesis import given
from hypothesis import strategies as st

from espalier.rl.loop.record.stretches import clipped, stretches


def as_bytes(ids: list[int]) -> str:
    """Each id is a byte of UTF-8, as of a byte-level tokenizer."""
    return bytes(ids).decode("utf-8", "replace")


def test_stretches_by_hand() -> None:
    assert stretches([97, 98, 99, 100], [3, 3, 4, 4], as_bytes) == ("abcd", [(3, 2), (4, 2)])
    assert stretches([97, 98, 99], [5, 5, 5], as_bytes) == ("abc", [(5, 3)])


def test_a_character_of_two_versions_belongs_to_the_later_and_a_broken_one_is_kept() -> None:
    a, b = "é".encode()
    assert stretches([97, a, b, 98], [3, 3, 4, 4], as_bytes) == ("aéb", [(3, 1), (4, 2)])
    assert stretches([97, a], [3, 4], as_bytes) == ("a\ufffd", [(3, 1), (4, 1)])


def test_clipping_by_hand() -> None:
    some = [(3, 4), (4, 2), (5, 4)]
    assert clipped(some, 0, 3) == [(3, 3)]
    assert clipped(some, 3, 7) == [(3, 1), (4, 2), (5, 1)]
    assert clipped(some, 6, 10) == [(5, 4)]


@given(st.lists(st.tuples(st.sampled_from("abcdé漢"), st.integers(0, 3)), min_size=1, max_size=60))
def test_each_token_is_in_the_stretch_of_its_version(tokens: list[tuple[str, int]]) -> None:
    """Every character is one version's, whole: then the stretches say exactly whose it is."""
    ids = [byte for letter, _ in tokens for byte in letter.encode()]
    versions = [version for letter, version in tokens for _ in letter.encode()]
    text, found = stretches(ids, versions, as_bytes)
    assert text == "".join(letter for letter, _ in tokens)
    assert [version for version, length in found for _ in range(length)] == [version for _, version in tokens]


@given(st.binary(min_size=1, max_size=80), st.data())
def test_whatever_the_bytes_no_character_is_lost(content: bytes, data: st.DataObject) -> None:
    versions = data.draw(st.lists(st.integers(0, 3), min_size=len(content), max_size=len(content)))
    text, found = stretches(list(content), versions, as_bytes)
    assert text == as_bytes(list(content))
    assert sum(length for _, length in found) == len(text)
