import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import DataError
from espalier.core.io.text import parse_json, read_jsonl, read_text, text_lines

UTF = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
LINES = st.lists(st.text(st.characters(exclude_characters="\0\r\n\ufeff", exclude_categories=["Cs"])))


@given(LINES, st.sampled_from(UTF), st.sampled_from(["\n", "\r\n", "\r"]))
def test_encodings_and_line_ends_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], encoding: str, end: str
) -> None:
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    path.write_bytes("".join(line + end for line in lines).encode(encoding))
    assert list(text_lines(path)) == list(enumerate(lines, 1))
    assert read_text(path) == "".join(line + "\n" for line in lines)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ncaf\xe9\n", r"lines\.txt:2: byte 0xe9 is not UTF-8 text; if the file is Latin-1: iconv"),
        ("one\ntwo".encode("utf-16") + b"\x00", r"lines\.txt:2: .* is not UTF-16 text$"),
    ],
)
def test_bytes_that_are_no_text_are_named_with_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_text(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.txt cannot be read: No such file"):
        read_text(tmp_path / "absent.txt")


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none())))
def test_read_jsonl_numbers_the_lines(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    assert list(read_jsonl(path)) == [(2 * i + 1, row) for i, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": ', "not JSON"),
        ('{"a": "\\ud83d"}', r"\\ud83d is half a character"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "not JSON"),
    ],
)
def test_a_line_that_is_no_json_is_named_with_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"a": 1}}\n\n{line}\n')
    with pytest.raises(DataError, match=rf"rows\.jsonl:3: .*{message}"):
        list(read_jsonl(path))


def test_both_halves_of_a_character_are_text() -> None:
    assert parse_json('"\\ud83d\\ude00"', "here") == "😀"
