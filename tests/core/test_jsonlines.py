from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import DataError
from espalier.core.io.jsonlines import JsonLines, read_lines


def test_a_line_that_a_kill_cut_short_is_left_out_and_then_removed(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    JsonLines(file).append({"a": 1})
    with file.open("ab") as torn:
        torn.write(b'{"a": 2, "b": "\xc3')
    assert list(read_lines(file)) == [(1, {"a": 1})]
    JsonLines(file).append({"a": 3})
    assert file.read_bytes() == b'{"a": 1}\n{"a": 3}\n'


def test_lines_are_kept_by_their_value_and_errors_name_the_line(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "a.jsonl")
    lines.keep(lambda line: False)
    assert (lines.size, list(read_lines(lines.path))) == (0, [])
    for number in range(4):
        lines.append(number)
    lines.keep(lambda line: line % 2 == 0)
    assert [value for _, value in read_lines(lines.path)] == [0, 2]
    assert lines.size == 4
    lines.path.write_text("1\n{\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: not JSON"):
        list(read_lines(lines.path))


@given(st.lists(st.text(), max_size=5))
def test_any_text_reads_back(texts: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        lines = JsonLines(Path(folder) / "a.jsonl")
        for text in texts:
            lines.append(text)
        assert [value for _, value in read_lines(lines.path)] == texts
