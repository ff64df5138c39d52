"""Files of questions as users have them."""

import json
from pathlib import Path
from typing import Any

import pytest

from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.envs.adapters.jsonl import Jsonl, JsonlConfig
from espalier.envs.adapters.records import Record, found_rule, reference
from espalier.envs.boxes import final_answer, last_boxes

SUMS = [{"question": f"{i}+{i}=", "answer": f"it is #### {2 * i}"} for i in range(30)]


def text(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def jsonl(path: Path, said: list[str] | None = None, **settings: Any) -> Jsonl:
    note = said.append if said is not None else (lambda line: None)
    return Jsonl(JsonlConfig(path=path, **settings), 0, DataRoot(None), note)


def answers(tasks: Jsonl) -> dict[str, str]:
    return {task.data["question"]: task.answer for split in tasks._tasks.values() for task in split}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends_make_no_difference(tmp_path: Path, encoding: str, end: str):
    rows = [*SUMS, {"question": "é☃=", "answer": "#### 7"}]
    path = tmp_path / "sums.jsonl"
    path.write_bytes(text(rows).replace("\n", end).encode(encoding))
    assert answers(jsonl(path)) == {row["question"]: row["answer"][row["answer"].index("####") + 5 :] for row in rows}


def test_a_task_says_where_it_stands(tmp_path: Path):
    path = tmp_path / "sums.jsonl"
    path.write_text("\n" + text(SUMS))
    tasks = jsonl(path)
    task = tasks.task("train", 0)
    line = int(task.data["question"].partition("+")[0]) + 2
    assert task.source == f"{path}:{line}"


@pytest.mark.parametrize(
    ("answer", "taken"), [(4, "4"), (-3, "-3"), (4.5, "4.5"), (0, "0"), (True, "true"), (10**30, str(10**30))]
)
def test_numbers_are_answers(tmp_path: Path, answer: Any, taken: str):
    path = tmp_path / "sums.jsonl"
    path.write_text(text([{"question": f"{i}?", "answer": answer} for i in range(30)]))
    assert set(answers(jsonl(path)).values()) == {taken}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"question": "caf\xe9", "answer": "#### 1"}', "byte 0xe9 is not UTF-8 text"),
        (b'{"question": "x\\ud83d", "answer": "#### 1"}', r"\\ud83d is half a character"),
        (b'{"question": "x", "answer": null}', "the field 'answer' must be text or a number, not null"),
        (b'{"question": null, "answer": "#### 1"}', "the field 'question' must be text, not null"),
        (b'{"question": {"text": "x"}, "answer": "#### 1"}', "the field 'question' must be text, not an object"),
        (b'{"question": "x", "answer": ["#### 1"]}', "the field 'answer' must be text or a number, not a list"),
        (b'{"question": "x", "answer": NaN}', "the field 'answer' is nan, which is not finite"),
        (b'{"question": "x", "answer": 1e999}', "the field 'answer' is inf, which is not finite"),
        (b'{"question": " \\t", "answer": "#### 1"}', "the field 'question' is blank"),
        (b'{"question": "x", "answer": "  "}', "the field 'answer' is blank"),
        (b'{"question": "x", "answer": "it is ####  "}', "the answer has no #### before its number"),
        (b'{"answer": "#### 1"}', "the field 'question' must be text; the line has answer"),
        (b"{}", "the field 'question' must be text; the line has no field"),
        (b"null", "expected a JSON object, found NoneType"),
        (b'{"question": "1+1=", "answer": "#### 3"}', r"the same question as in .*bad\.jsonl:2, with the answer '3' "),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: bytes, message: str):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(text(SUMS[:3]).encode() + line + b"\n")
    with pytest.raises(DataError, match=rf"bad\.jsonl:4: {message}"):
        jsonl(path)


def test_one_question_with_one_answer_may_come_twice(tmp_path: Path):
    path = tmp_path / "sums.jsonl"
    path.write_text(text([*SUMS, {"question": "1+1=", "answer": "another way #### 2"}]))
    assert len(answers(jsonl(path))) == 30


def test_a_question_held_out_with_another_answer_is_refused(tmp_path: Path):
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    train.write_text(text(SUMS))
    test.write_text(text([{"question": "1+1=", "answer": "#### 3"}]))
    with pytest.raises(DataError, match=r"train\.jsonl:2: the same question as in .*test\.jsonl:1"):
        jsonl(train, heldout_path=test)


def test_where_a_file_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataError, match=r"there is no /nowhere/sums\.jsonl \(an absolute path"):
        jsonl(Path("/nowhere/sums.jsonl"))
    with pytest.raises(DataError, match=r"is a folder: name a file of JSON lines in it"):
        jsonl(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums.jsonl").write_text(text(SUMS))
    with pytest.raises(DataError, match=rf"no data root is known.*in the working directory: name it {tmp_path}"):
        jsonl(Path("sums.jsonl"))


@pytest.mark.parametrize(
    ("answer", "rule", "taken", "says"),
    [
        ("so it is 4.\n#### {}", "final_number", "5", "answers end with #### and the reference"),
        ("so \\boxed{{3}}, no: \\boxed{{{}}}", "boxed", "5", "the reference is in the last box"),
        ("{}", "whole", "5", "the whole answer is the reference"),
    ],
)
def test_the_rule_is_found_and_said(tmp_path: Path, answer: str, rule: str, taken: str, says: str):
    path, said = tmp_path / "sums.jsonl", list[str]()
    path.write_text(text([{"question": f"{i}?", "answer": answer.format(5)} for i in range(30)]))
    tasks = jsonl(path, said)
    assert (tasks.rule, set(answers(tasks).values())) == (rule, {taken})
    assert len(said) == 1
    assert said[0].startswith(f"sums: {says}")
    quiet: list[str] = []
    assert jsonl(path, quiet, reference="whole").rule == "whole"
    assert not quiet


def test_the_rule_of_most_answers_holds_for_all():
    marked, plain = Record("f:1", "a", "#### 1"), Record("f:2", "b", "two")
    assert found_rule([marked, plain]) == "final_number"
    assert found_rule([marked, plain, plain]) == "whole"
    assert found_rule([]) == "whole"
    with pytest.raises(DataError, match=r"^f:2: the answer has no #### before its number; set reference: whole\?$"):
        reference(plain, "final_number")
    with pytest.raises(DataError, match=r"^f:2: the answer has no \\boxed"):
        reference(plain, "boxed")


def test_boxes_by_hand():
    assert last_boxes("\\boxed{\\frac{1}{2}}") == ["\\frac{1}{2}"]
    assert last_boxes("\\boxed{3} or $\\boxed{4}$.") == ["3", "4"]
    assert last_boxes("\\boxed{3}. No: \\boxed{4}") == ["4"]
    assert last_boxes("\\boxed{3} \\boxed{4") == ["3"]
    assert last_boxes("\\boxed{") == last_boxes("") == []
    assert final_answer("\\boxed{3}, \\boxed{3} and \\boxed{4}") == "\\boxed{3, 4}"
    assert final_answer("four") == "four"
