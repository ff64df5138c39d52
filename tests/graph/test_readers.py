"""Files and arrays that users hand in: read right, or refused with file, line, row and column. Never misread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from espalier.core.errors import DataError
from espalier.graph.align.knowledge import read_codex
from espalier.graph.data.edges import read_edges
from espalier.graph.data.graph import Graph
from espalier.graph.data.load import load
from espalier.graph.sampling.convert import convert


def edges_of(graph: Graph) -> list[tuple[int, int]]:
    """Undirected edges, the smaller end first."""
    return [(a, b) for a, b in zip(graph.adj.rows.tolist(), graph.adj.columns.tolist(), strict=True) if a < b]


READ = {
    "plain": b"0,1\n1,2\n",
    "byte-order mark": b"\xef\xbb\xbf0,1\n1,2\n",
    "UTF-16": "\ufeff0,1\n1,2\n".encode("utf-16-le"),
    "CRLF": b"0,1\r\n1,2\r\n",
    "CR": b"0,1\r1,2\r",
    "no last line end": b"0,1\n1,2",
    "plus signs": b"+0,1\n+1,+2\n",
    "leading zeros": b"000,01\n1,002\n",
    "tabs": b"0\t1\n1\t2\n",
    "semicolons": b"0;1\n1;2\n",
    "comma and space": b"0, 1\n1, 2\n",
    "many spaces": b"  0   1\n1 \t 2  \n",
    "blank lines": b"\n0,1\n\n  \n1,2\n\n",
    "remarks": b"# a remark, with commas\n0 1\n% another\n 1 2\n# 3 4\n",
    "weights": b"0,1,0.5\n1,2,0.7\n",
    "weights with decimal commas": b"0;1;0,5\n1;2;0,7\n",
    "whole weights": b"0 1 7\n1 2 9\n",
    "quotes": b'"0","1","a, b"\n"1","2","c"\n',
    "quotes and spaces": b'"0" "1"\n"1"  "2"\n',
    "header": b"a,b\n0,1\n1,2\n",
    "header and mark": b"\xef\xbb\xbfa,b\n0,1\n1,2\n",
    "header after a remark": b"# made by hand\n\nnode one\tnode two\n0\t1\n1\t2\n",
    "named columns in another order": b"weight,Target,id,source\n0.5,1,7,0\n0.7,2,8,1\n",
    "pandas' index": b",src,dst\n0,0,1\n1,1,2\n",
    "trailing commas": b"0,1,\n1,2,\n",
    "both directions, twice, loops": b"0,1\n1,0\n0,1\n1,1\n2,1\n",
}


@pytest.mark.parametrize("name", READ)
def test_edge_lists_are_read_right(name: str, tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    file.write_bytes(READ[name])
    assert edges_of(read_edges(file)) == [(0, 1), (1, 2)]
    np.save(tmp_path / "x.npy", np.eye(3, dtype=np.float32))
    convert(file, tmp_path / "x.npy", tmp_path / "store")
    assert edges_of(load(tmp_path / "store")) == [(0, 1), (1, 2)]


REFUSED = {
    "ragged": (b"0 1 2\n3\n", r"e\.csv:2: 1 column, where .*e\.csv:1 has 3"),
    "compensating rows": (b"0,1,2\n3\n4,5\n", r"e\.csv:2: 1 column"),
    "a longer row": (b"0,1\n1,2,3\n", r"e\.csv:2: 3 columns, where .*e\.csv:1 has 2"),
    "shorter than the header": (b"a,b,c\n0,1\n", r"e\.csv:2: 2 columns, where .*e\.csv:1 has 3"),
    "a gap": (b"0,1\n1,,\n", r"e\.csv:2: 3 columns"),
    "an empty cell": (b"0,1\n,2\n", r"e\.csv:2: an empty cell is not a whole number"),
    "fractions": (b"0,1\n1,2.5\n", r"e\.csv:2: '2\.5' is not a whole number"),
    "floats": (b"0.0,1.0\n", r"e\.csv:1: '0\.0' is not a whole number"),
    "not a number": (b"0,1\nnan,2\n", r"e\.csv:2: 'nan' is not a whole number"),
    "first line not a number": (b"nan,1\n1,2\n", r"e\.csv:1: 'nan' is not a whole number"),
    "underscores": (b"0,1\n1,1_0\n", r"e\.csv:2: '1_0' is not a whole number"),
    "other digits": ("0,1\n1,\u0663\n".encode(), r"e\.csv:2: '\u0663' is not a whole number"),
    "hexadecimal": (b"0,1\n1,0x2\n", r"e\.csv:2: '0x2' is not a whole number"),
    "negative": (b"0,1\n1,-2\n", r"e\.csv:2: there is no node -2: the first node is 0"),
    "not dense": (b"0,1\n0,3000000000\n", r"e\.csv:2: node 3000000000 in a file of 2 edges: .* not dense"),
    "not dense, less so": (b"1,100000000\n", r"e\.csv:1: node 100000000 in a file of 1 edges: .* not dense"),
    "beyond 64 bits": (b"0,99999999999999999999\n", r"e\.csv:1: 99999999999999999999 is too large a number"),
    "5,000 digits": (b"0,1\n0," + b"9" * 5000 + b"\n", r"e\.csv:2: 9{37}\.\.\. is too large"),
    "one column": (b"0\n1\n", r"e\.csv:1: one column, where the two ends of an edge are needed"),
    "empty": (b"", r"e\.csv has no edges"),
    "only a mark": (b"\xef\xbb\xbf", r"e\.csv has no edges"),
    "only a header": (b"source,target\n", r"e\.csv has no edges"),
    "only remarks": (b"# 0 1\n", r"e\.csv has no edges"),
    "Latin-1": (b"0,1\n# caf\xe9\n", r"e\.csv:2: byte 0xe9 is not UTF-8 text"),
    "an open quote": (b'0,1\n"1,2\n', r"e\.csv:2: its quotes cannot be read"),
    "a zero byte": (b"0,1\n1,\x002\n", r"e\.csv:2: "),
    "words": (b"alice,bob\ncarol,dave\n", r"e\.csv:2: 'carol' is not a whole number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_edge_lists_are_refused_by_file_and_line(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    file = tmp_path / "e.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_edges(file)
    np.save(tmp_path / "x.npy", np.eye(7, dtype=np.float32))
    with pytest.raises(DataError, match=r"e\.csv(:\d+:| has no edges)"):
        convert(file, tmp_path / "x.npy", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_both_ways_of_reading_have_the_same_columns(tmp_path: Path) -> None:
    """The C kernel, and the reader that goes line by line and says what is wrong."""
    from espalier.graph.data import columns
    from espalier.graph.ops.library import load as kernels

    if kernels("text") is None:
        pytest.skip("there is no C compiler")
    lines = {
        ",": "3,0.5,7\n+4, a b ,8\n5,,9\n6,#, 10\n",
        ";": "3;0,5;7\n4;;8\n",
        "\t": "3\ta b\t7\n4\t\t8\n",
        None: "3 0.5 7\n  4\t x  8 \n5 -1 9\n",
    }
    for separator, text in lines.items():
        (tmp_path / "t").write_text(text)
        form = columns.Columns(separator, 3, (2, 0), 1)
        plain = text.replace("+", "")
        by_line = columns._by_line(tmp_path / "t", 1, text.encode(), form)
        assert columns._digits(plain.encode(), form).tolist() == by_line.values.tolist()
    for text in ("1,2\n", "1,2,3,4\n", "1,x,3\nx,2,3\n", '1,"a",3\n', "1,\u00e9,3\n", "\n1,2,3\n", "#1,2,3\n", "1,,\n"):
        assert columns._digits(text.encode(), columns.Columns(",", 3, (0, 2), 1)) is None


def test_a_line_deep_in_a_long_file_is_named(tmp_path: Path) -> None:
    lines = [f"{k},{k + 1}" for k in range(30_000)]
    lines[:0] = ["source,target", "# a remark"]
    for wrong, message in (
        ("7,x", "'x' is not"),
        ("7", "1 column, where"),
        ("7,40000", "there is no node 40000: .*x.npy has rows"),
    ):
        (tmp_path / "e.csv").write_text("\n".join([*lines[:20_000], wrong, *lines[20_000:]]) + "\n")
        np.save(tmp_path / "x.npy", np.ones((30_001, 1), np.float32))
        with pytest.raises(DataError, match=rf"e\.csv:20001: {message}"):
            read_edges(tmp_path / "e.csv", tmp_path / "x.npy")


def test_blocks_of_a_file_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from espalier.core.io.text import text_blocks
    from espalier.graph.data import columns

    content = b"a,b\r\n" + b"".join(f"{k},{k + 1}\r\n".encode() for k in range(50)) + b"# end\r\n50,51"
    (tmp_path / "e.csv").write_bytes(content)
    for size in (1, 2, 3, 7, 64, 10_000):
        blocks = list(text_blocks(tmp_path / "e.csv", size))
        assert b"".join(block for _, block in blocks) == content.replace(b"\r\n", b"\n") + b"\n"
        assert [number for number, _ in blocks] == [
            1 + sum(block.count(b"\n") for _, block in blocks[:k]) for k in range(len(blocks))
        ]
        monkeypatch.setattr(columns, "text_blocks", lambda file, size=size: text_blocks(file, size))
        assert edges_of(read_edges(tmp_path / "e.csv")) == [(k, k + 1) for k in range(51)]


def write_codex(folder: Path, **changes: str) -> None:
    import zipfile

    files = {
        "train.txt": "a\tr\tb\n",
        "valid.txt": "b\tr\tc\n",
        "test.txt": "c\ts\ta\n",
        "types-entity2types.json": '{"a": ["T"]}',
        "types-en-types.json": '{"T": {"label": "thing", "description": null}}',
    }
    for name, text in {**files, **{key.replace("_", "."): text for key, text in changes.items()}}.items():
        (folder / name).write_bytes(text.encode())
    with zipfile.ZipFile(folder / "types-en-extracts.zip", "w") as archive:
        archive.writestr("T.txt", "A thing.")


def test_triples_are_read_or_refused_by_line(tmp_path: Path) -> None:
    write_codex(tmp_path, train_txt="\ufeffa\tr\tb\u2028x\r\n\n")
    known = read_codex(tmp_path, tmp_path)
    assert known.entities == ["a", "b", "b\u2028x", "c"]
    assert known.texts == ["thing  A thing.", "", "", ""]
    for text, message in (
        ("a\tr\n", r"train\.txt:1: expected head"),
        ("a\tr\tb\n\tr\tb\n", r"train\.txt:2: expected head"),
        ("a\tr\tb\n\na\tr\tb\n", r"train\.txt:2: expected head"),
        ("", r"train\.txt has no triples"),
    ):
        write_codex(tmp_path, train_txt=text)
        with pytest.raises(DataError, match=message):
            read_codex(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("types-entity2types", "[1]"),
        ("types-entity2types", '{"a": "T"}'),
        ("types-entity2types", '{"a": [1]}'),
        ("types-en-types", '{"T": []}'),
        ("types-en-types", '{"T": {"label": 0}}'),
        ("types-en-types", "{"),
    ],
)
def test_types_of_entities_are_refused(name: str, text: str, tmp_path: Path) -> None:
    write_codex(tmp_path)
    (tmp_path / f"{name}.json").write_text(text)
    with pytest.raises(DataError, match=rf"{name}\.json: "):
        read_codex(tmp_path, tmp_path)


def test_damaged_extracts_are_refused(tmp_path: Path) -> None:
    write_codex(tmp_path)
    file = tmp_path / "types-en-extracts.zip"
    whole = file.read_bytes()
    for content in (b"", whole[:40], whole.replace(b"A thing.", b"B thing.")):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"types-en-extracts\.zip cannot be read"):
            read_codex(tmp_path, tmp_path)
