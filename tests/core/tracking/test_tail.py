import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import DataError
from espalier.core.tracking.tail import Tail


def small(value: Any, where: str) -> int:
    if not isinstance(value, int):
        raise DataError(f"{where}: no number")
    return value


@given(st.lists(st.integers(0, 10**6)), st.data())
def test_in_whatever_pieces_a_file_grows_each_line_comes_once(values: list[int], data: st.DataObject) -> None:
    content = "".join(f"{value}\n" for value in values).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        tail, found = Tail(path, small), []
        for begin, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            with path.open("ab") as file:
                file.write(content[begin:end])
            found += tail.look()[1]
    assert found == values


def test_broken_lines_are_passed_over_and_the_last_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    tail = Tail(path, small)
    assert (tail.look(), tail.broken) == ((False, []), "")
    path.write_bytes(b'1\n{"half": \n\n"x"\n2\n\xff\xfe\n3')
    assert tail.look() == (True, [1, 2])
    assert tail.broken.startswith(f"{path}:6: not JSON")
    with path.open("ab") as file:
        file.write(b"4\n")
    assert tail.look() == (False, [34])


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_was_replaced_or_cut_is_read_anew(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "lines"
    path.write_text("x\n1\n2\n3\n")
    tail = Tail(path, small)
    assert tail.look() == (True, [1, 2, 3])
    if replaced:
        (tmp_path / "new").write_text(json.dumps(7) + "\n" * 9)
        (tmp_path / "new").replace(path)
    else:
        os.truncate(path, 0)
        path.write_text("7\n")
    assert tail.look() == (True, [7])
    assert tail.broken == ""
