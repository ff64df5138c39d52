"""Files of questions as users have them."""

import asyncio
import csv
import json
from pathlib import Path
from random import Random
from typing import Any

import datasets
import pytest

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, DataError, EnvError
from espalier.core.messages import Message, ToolCall
from espalier.envs.adapters.columns import ColumnsConfig, Record, found_columns
from espalier.envs.adapters.references import found_rule, reference
from espalier.envs.adapters.rows import Row, read_rows
from espalier.envs.adapters.table import Table, TableConfig
from espalier.envs.api import Task, TaskSet
from espalier.envs.boxes import final_answer, last_boxes

SUMS = [{"question": f"{i}+{i}=", "answer": f"it is #### {2 * i}"} for i in range(30)]

ROWS = [
    {"question": f"What is {i}+{i}?", "answer": f"{i}+{i}=<<{i}+{i}={2 * i}>>{2 * i}.\n#### {2 * i}"} for i in range(60)
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


def judge(tasks: TaskSet, task: Task, text: str) -> float | None:
    async def go() -> float | None:
        env = tasks.env(task)
        await env.reset(task)
        return (await env.step(Message.assistant(text))).reward

    return asyncio.run(go())


def text(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(path: Path, said: list[str] | None = None, **settings: Any) -> Table:
    note = said.append if said is not None else (lambda line: None)
    return Table(TableConfig(path=path, **settings), 0, DataRoot(None), note)


def answers(tasks: Table) -> dict[str, str]:
    return {task.data["question"]: task.answer for split in tasks._tasks.tasks.values() for task in split}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends_make_no_difference(tmp_path: Path, encoding: str, end: str):
    rows = [*SUMS, {"question": "é☃=", "answer": "#### 7"}]
    path = tmp_path / "sums.jsonl"
    path.write_bytes(text(rows).replace("\n", end).encode(encoding))
    assert answers(table(path)) == {row["question"]: row["answer"][row["answer"].index("####") + 5 :] for row in rows}


def test_a_task_says_where_it_stands(tmp_path: Path):
    path = tmp_path / "sums.jsonl"
    path.write_text("\n" + text(SUMS))
    tasks = table(path)
    task = tasks.task("train", 0)
    line = int(task.data["question"].partition("+")[0]) + 2
    assert task.source == f"{path}:{line}"


@pytest.mark.parametrize(
    ("answer", "taken"), [(4, "4"), (-3, "-3"), (4.5, "4.5"), (0, "0"), (True, "true"), (10**30, str(10**30))]
)
def test_numbers_are_answers(tmp_path: Path, answer: Any, taken: str):
    path = tmp_path / "sums.jsonl"
    path.write_text(text([{"question": f"{i}?", "answer": answer} for i in range(30)]))
    assert set(answers(table(path)).values()) == {taken}


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
        table(path)


def test_one_question_with_one_answer_may_come_twice(tmp_path: Path):
    path = tmp_path / "sums.jsonl"
    path.write_text(text([*SUMS, {"question": "1+1=", "answer": "another way #### 2"}]))
    assert len(answers(table(path))) == 30


def test_a_question_held_out_with_another_answer_is_refused(tmp_path: Path):
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    train.write_text(text(SUMS))
    test.write_text(text([{"question": "1+1=", "answer": "#### 3"}]))
    with pytest.raises(DataError, match=r"train\.jsonl:2: the same question as in .*test\.jsonl:1"):
        table(train, heldout_path=test)


def test_where_a_file_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataError, match=r"^there is no /nowhere/sums\.jsonl$"):
        table(Path("/nowhere/sums.jsonl"))
    folder, here, root = tmp_path / "recipe", tmp_path / "here", tmp_path / "root"
    for place in (folder, here, root):
        place.mkdir()
    monkeypatch.chdir(here)
    data = DataRoot(root).near([folder / "mine.yaml"])

    def found() -> int:
        return int(Table(TableConfig(path=Path("sums.jsonl")), 0, data).task("train", 0).data["row"]["place"])

    for number, place in enumerate((root, here, folder)):
        looked = ", ".join(f"{p}/sums.jsonl" for p in (folder, here, root))
        if number == 0:
            with pytest.raises(DataError, match=rf"^there is no sums\.jsonl: looked for {looked}$"):
                found()
        (place / "sums.jsonl").write_text(text([{**row, "place": number} for row in SUMS]))
        assert found() == number, "beside the recipe, then here, then below the root"
    with pytest.raises(DataError, match=r"No data root is known: set ESPALIER_DATA"):
        table(Path("nowhere.csv"))
    with pytest.raises(DataError, match=r"is a folder without a file of the split 'train': it holds sums.jsonl"):
        table(root)


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
    tasks = table(path, said)
    assert (tasks.rule, set(answers(tasks).values())) == (rule, {taken})
    (line,) = said
    expected = "sums: 29 questions to train on, 1 held out; found columns: {question: question, answer: answer}, "
    assert line.startswith(f"{expected}reference: {rule} ({says}")
    given = {"columns": {"question": "question", "answer": "answer"}, "reference": "whole"}
    assert table(path, said, **given).rule == "whole"
    assert said[1] == "sums: 29 questions to train on, 1 held out; columns and reference as given"


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


def test_questions_references_and_worked_solutions(tmp_path: Path):
    tasks = table(write(tmp_path / "sums.jsonl", ROWS), prompt="Q: {question} A:")
    task = tasks.task("train", 0)
    number = int(task.data["question"].removeprefix("What is ").split("+")[0])
    assert (task.env, task.answer) == ("sums", str(2 * number))
    question, solution = tasks.demonstrate(task, Random(0))
    assert question.content == f"Q: What is {number}+{number}? A:"
    assert solution.content == f"{number}+{number}={2 * number}.\n#### {2 * number}", "annotations are gone"
    assert judge(tasks, task, solution.content) is None, "a rubric judges"


def test_every_question_comes_once_an_epoch(tmp_path: Path):
    tasks = table(write(tmp_path / "sums.jsonl", ROWS), heldout=0.3)
    sizes = {split: len(tasks._tasks.tasks[split]) for split in ("train", "heldout")}
    assert sum(sizes.values()) == 60
    assert 5 < sizes["heldout"] < 30
    n = sizes["train"]
    first, second = ([tasks.task("train", e * n + i).key for i in range(n)] for e in (0, 1))
    assert sorted(first) == sorted(second)
    assert len(set(first)) == n
    assert first != second
    assert {tasks.task("heldout", i).key for i in range(99)}.isdisjoint(first)


def test_a_file_of_held_out_questions_wins_over_training(tmp_path: Path):
    train, test = write(tmp_path / "train.jsonl", ROWS), write(tmp_path / "test.jsonl", ROWS[:10])
    tasks = table(train, heldout_path=test)
    assert (len(tasks._tasks.tasks["train"]), len(tasks._tasks.tasks["heldout"])) == (50, 10)
    assert tasks.task("heldout", 0).split == "heldout"


def test_other_fields_and_whole_answers(tmp_path: Path):
    path = write(tmp_path / "capitals.jsonl", [{"q": f"{i}?", "a": f" Town {i} ", "id": i} for i in range(40)])
    task = table(path, columns={"question": "q", "answer": "a"}, reference="whole").task("train", 0)
    assert task.answer == f"Town {task.data['question'][:-1]}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", r"bad\.jsonl:2: not JSON"),
        ("[1, 2]", r"bad\.jsonl:2: expected a JSON object, found list"),
        ('{"question": "x"}', r"bad\.jsonl:2: the field 'answer' must be text; the line has question"),
        ('{"question": 3, "answer": "#### 1"}', r"bad\.jsonl:2: the field 'question' must be text"),
        ('{"question": "x", "answer": "one"}', r"bad\.jsonl:2: the answer has no #### before its number"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str):
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{json.dumps(ROWS[0])}\n{line}\n")
    with pytest.raises(DataError, match=message):
        table(path)


def test_missing_files_and_empty_splits(tmp_path: Path):
    with pytest.raises(DataError, match="ESPALIER_DATA"):
        table(Path("nowhere.jsonl"))
    with pytest.raises(
        ConfigError,
        match=r"one\.jsonl: none of its 1 .* left for heldout; .* set heldout, or",
    ):
        table(write(tmp_path / "one.jsonl", ROWS[:1]))


@pytest.mark.data
def test_gsm8k_as_published():
    tasks = Table(TableConfig(path=Path("text/gsm8k/train.jsonl")), 0, DataRoot.find())
    count = sum(len(split) for split in tasks._tasks.tasks.values())
    assert count == 7473
    for split in tasks._tasks.tasks.values():
        assert all(task.answer and task.answer.lstrip("-")[0].isdigit() for task in split)


PAIRS = [{"question": f'say {i}, é\n"{i}"', "answer": f"it is {i}", "level": i % 3} for i in range(40)]


def as_csv(path: Path, comma: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(PAIRS[0]), delimiter=comma)
        writer.writeheader()
        writer.writerows(PAIRS)


def write_pairs(folder: Path, kind: str) -> Path:
    path = folder / f"pairs.{kind}"
    match kind:
        case "jsonl":
            write(path, PAIRS)
        case "json":
            path.write_text(json.dumps(PAIRS, indent=1))
        case "csv":
            as_csv(path)
        case "tsv":
            as_csv(path, "\t")
        case "parquet":
            datasets.Dataset.from_list(PAIRS).to_parquet(path)
        case "saved":
            datasets.Dataset.from_list(PAIRS).save_to_disk(path)
        case "splits":
            datasets.DatasetDict({"train": datasets.Dataset.from_list(PAIRS)}).save_to_disk(path)
        case "files":
            (path / "data").mkdir(parents=True)
            for part in (0, 1):
                write(path / "data" / f"train-0000{part}-of-00002.jsonl", PAIRS[20 * part : 20 * part + 20])
            write(path / "training.jsonl", ROWS)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "parquet", "saved", "splits", "files"])
def test_every_kind_of_table_holds_the_same_tasks(tmp_path: Path, kind: str):
    tasks = table(write_pairs(tmp_path, kind), name="pairs")
    expected = table(write_pairs(tmp_path, "jsonl"), name="pairs")
    for index in range(40):
        ours, theirs = tasks.task("train", index), expected.task("train", index)
        assert (ours.key, ours.data["question"], ours.answer) == (theirs.key, theirs.data["question"], theirs.answer)
        assert str(ours.info["level"]) == str(theirs.info["level"])


def test_rows_of_csv_and_json_are_named_by_the_line_they_begin_on(tmp_path: Path):
    for kind in ("csv", "json"):
        path = write_pairs(tmp_path, kind)
        for row in read_rows(path):
            number = int(row.values["answer"].split()[-1])
            line = 2 + 2 * number if kind == "csv" else 2 + 5 * number
            assert row.where == f"{path}:{line}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "question,answer\na,b\nc\n", r"t\.csv:3: 1 fields, but the header has 2"),
        ("t.csv", 'question,answer\na,"b\n', r"t\.csv:2: not CSV \(unexpected end of data\)"),
        ("t.csv", "question,question\na,b\n", r"t\.csv:1: two columns are called 'question'"),
        ("t.csv", "question,answer\na,b\nc,\n", r"t\.csv:3: the field 'answer' is blank"),
        ("t.csv", "one,two\na,b\n", r"t\.csv: no column looks like a question: .*it has one, two"),
        ("t.json", '[{"question": "a", "answer": 1},\n\n 7]', r"t\.json:3: expected a JSON object, found int"),
        ("t.json", '{"a": 1}', r"t\.json: expected a list of JSON objects, or an object that holds one such list"),
        ("t.parquet", "PAR1", r"t\.parquet: not Parquet"),
        ("t.xlsx", "x", r"t\.xlsx: the ending \.xlsx is not known; known are \.jsonl, .*\.parquet"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, message: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        table(tmp_path / name)


def test_json_in_other_shapes(tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps({"version": 1, "data": PAIRS}))
    (tmp_path / "b.json").write_text(text(PAIRS))
    assert [row.values for row in read_rows(tmp_path / "a.json")] == PAIRS
    assert [row.values for row in read_rows(tmp_path / "b.json")] == PAIRS
    assert read_rows(tmp_path / "a.json")[3].where.endswith("a.json: data[3]")
    (tmp_path / "c.csv").write_text("Question;Answer\n\na;b\n")
    assert [row.values for row in read_rows(tmp_path / "c.csv")] == [{"Question": "a", "Answer": "b"}]


def test_a_data_set_of_the_hub_that_cannot_be_had_is_told_in_words(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **settings: object) -> None:
        raise ConnectionError("Couldn't reach 'acme/sums' on the Hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(DataError) as caught:
        table(Path("acme/sums"))
    assert "there is no acme/sums: looked for" in str(caught.value)
    assert "hub cannot be loaded (ConnectionError: Couldn't reach 'acme/sums' on the Hub)" in str(caught.value)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, subset, split: datasets.Dataset.from_list(PAIRS))
    assert table(Path("acme/sums")).task("train", 0).source.startswith("acme/sums: row ")


@pytest.mark.parametrize(
    ("columns", "question", "answer", "choices"),
    [
        (["question", "answer"], "question", "answer", None),
        (["problem", "solution", "answer"], "problem", "answer", None),
        (["Prompt", "Completion"], "Prompt", "Completion", None),
        (["instruction", "input", "output"], "instruction", "output", None),
        (["id", "text", "label"], "text", "label", None),
        (["q", "a"], "q", "a", None),
        (["question", "A", "B", "C", "D", "answer"], "question", "answer", ("A", "B", "C", "D")),
        (["question", "choices", "answerKey"], "question", "answerKey", "choices"),
        (["question", "options", "answer_index", "answer"], "question", "answer", "options"),
        (["messages", "answer"], None, "answer", None),
    ],
)
def test_columns_are_guessed(columns: list[str], question: str | None, answer: str, choices: object):
    found = found_columns([Row("f:1", dict.fromkeys(columns, "x"))], ColumnsConfig(), "f")
    assert (found.question, found.answer, found.choices) == (question, answer, choices)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"choices": ["cat", "dog", "fish"], "answer": "B"}, "letter"),
        ({"choices": ["cat", "dog", "fish"], "answer": "(b)"}, "letter"),
        ({"choices": ["cat", "dog", "fish"], "answer": "dog"}, "text"),
        ({"choices": ["cat", "dog", "fish"], "answer": 1}, "index"),
        ({"choices": '["cat", "dog", "fish"]', "answer": "1"}, "index"),
        ({"choices": {"label": ["1", "2", "3"], "text": ["cat", "dog", "fish"]}, "answerKey": "2"}, "label"),
        ({"A": "cat", "B": "dog", "C": "fish", "answer": "B"}, "letter"),
    ],
)
def test_choices_in_every_form(tmp_path: Path, row: dict[str, Any], rule: str):
    rows = [{"question": f"Who barks? ({i})", **row} for i in range(30)]
    tasks = table(write(tmp_path / "quiz.jsonl", rows))
    task = tasks.task("train", 0)
    assert (tasks.rule, task.answer, task.data["choices"]) == (rule, "B", ["cat", "dog", "fish"])
    question, shown = tasks.demonstrate(task, Random(0))
    assert question.content == f"{task.data['question']}\nA) cat\nB) dog\nC) fish"
    assert shown.content == "B"


def test_numbers_of_choices_from_one(tmp_path: Path):
    rows = [{"question": f"{i}?", "choices": ["x", "y"], "answer": 1 + i % 2} for i in range(30)]
    tasks = table(write(tmp_path / "quiz.jsonl", rows))
    assert tasks.rule == "index_from_1"
    assert answers(tasks) == {f"{i}?": "AB"[i % 2] for i in range(30)}
    with pytest.raises(
        DataError, match=r"jsonl:\d+: the answer .2. is no number of a choice, from 0; there is A\) .x."
    ):
        table(tmp_path / "quiz.jsonl", reference="index")
    with pytest.raises(DataError, match=r"reference=boxed does not fit a row with choices; set one of letter"):
        table(tmp_path / "quiz.jsonl", reference="boxed")


def opening(tasks: Table, task: Task) -> list[tuple[str, str]]:
    return [(str(m.role), m.content) for m in asyncio.run(tasks.env(task).reset(task))]


def test_choices_stand_below_chat_messages_and_a_system_message_is_not_doubled(tmp_path: Path):
    def row(i: int, system: bool) -> dict[str, Any]:
        first = [{"role": "system", "content": "Be short."}] if system else []
        messages = [*first, {"role": "user", "content": f"Which is {i}?"}]
        return {"messages": messages, "choices": [str(i), "none"], "answer": "A"}

    path = write(tmp_path / "m.jsonl", [row(i, system=i % 2 == 0) for i in range(40)])
    tasks = table(path, system="Be long.")
    for index in range(10):
        task = tasks.task("train", index)
        number = task.data["choices"][0]
        system = "Be short." if int(number) % 2 == 0 else "Be long."
        assert opening(tasks, task) == [("system", system), ("user", f"Which is {number}?\nA) {number}\nB) none")]
    with pytest.raises(ConfigError, match="its column 'messages' holds whole messages: leave `prompt` out"):
        table(path, prompt="{question}")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("Q: {qestion}", r"\{qestion\} is no column of .*; did you mean 'question'\?"),
        ("Q: {other}", r"\{other\} is no column of"),
        ("Answer.", "asks the same of every row"),
    ],
)
def test_a_prompt_that_asks_nothing_is_refused(prompt: str, message: str, tmp_path: Path):
    path = write(tmp_path / "t.jsonl", [{"question": f"{i}?", "answer": str(i)} for i in range(30)])
    with pytest.raises(ConfigError, match=message):
        table(path, prompt=prompt)
    assert "{json}" in opening(tasks := table(path, prompt="{question} As {json}."), tasks.task("train", 0))[0][1]


def test_chat_messages_as_rows(tmp_path: Path):
    def row(i: int) -> list[dict[str, str]]:
        return [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": f"{i}?"},
            {"role": "assistant", "content": f"so #### {i}"},
        ]

    for name in ("messages", "prompt"):
        path = write(tmp_path / f"{name}.jsonl", [{name: row(i)} for i in range(30)])
        tasks = table(path)
        task = tasks.task("train", 0)
        assert opening(tasks, task) == [("system", "Be short."), ("user", task.data["question"])]
        assert task.answer == task.data["question"][:-1]
        assert tasks.demonstrate(task, Random(0))[-1].content == f"so #### {task.answer}"
    bad = write(tmp_path / "bad.jsonl", [{"messages": [{"role": "robot", "content": "x"}]}])
    with pytest.raises(DataError, match=r"bad\.jsonl:1: the field 'messages' must be a list of messages"):
        table(bad)


def test_prompts_show_columns_and_never_the_answer(tmp_path: Path):
    rows = [{"question": f"{i}?", "answer": str(i), "hint": f"h{i}"} for i in range(30)]
    tasks = table(write(tmp_path / "t.jsonl", rows), prompt="{hint}: {question} \\boxed{answer} {x}", system="Think.")
    task = tasks.task("train", 0)
    i = task.answer
    assert opening(tasks, task) == [("system", "Think."), ("user", f"h{i}: {i}? \\boxed{{answer}} {{x}}")]
    assert task.info == {"question": f"{i}?", "answer": i, "hint": f"h{i}"}


def test_a_prompt_asks_with_columns_of_any_name(tmp_path: Path):
    rows = [{"left": i, "right term": 3, "answer": str(i + 3)} for i in range(30)]
    path = write(tmp_path / "t.jsonl", rows)
    tasks = table(path, prompt="{left} + {right term} = {answer}")
    task = tasks.task("train", 0)
    left = int(task.answer) - 3
    assert task.data["question"] == f"{left} + 3 = {{answer}}", "the answer is not shown"
    assert opening(tasks, task) == [("user", task.data["question"])]
    for prompt in ("", "What is {answer}?", "{hint}?", "{left} and {question}"):
        with pytest.raises(DataError, match="no column looks like a question"):
            table(path, prompt=prompt)
    with pytest.raises(ConfigError, match=r"\{lefft\} is no column of .*; did you mean 'left'"):
        table(path, prompt="{lefft}?")


def test_the_words_of_a_prompt_do_not_change_what_is_held_out(tmp_path: Path):
    rows = [{"country": f"c{i}", "text": "same", "capital": f"x{i}"} for i in range(60)]
    path = write(tmp_path / "t.jsonl", rows)

    def heldout(prompt: str) -> set[str]:
        tasks = table(path, prompt=prompt, columns={"answer": "capital"})
        return {task.answer for task in tasks._tasks.tasks["heldout"]}

    assert heldout("Capital of {country}?") == heldout("What is the capital of {country}?") != set()
    with pytest.raises(DataError, match="the same question as in"):
        table(path, prompt="{text}?", columns={"answer": "capital"})


def test_rows_without_a_column_of_the_prompt_are_named(tmp_path: Path):
    rows: list[dict[str, Any]] = [{"country": f"c{i}", "answer": f"x{i}"} for i in range(30)]
    for row, message in (
        ({"answer": "y"}, "the field 'country' must be text"),
        ({"country": None, "answer": "y"}, "is blank"),
    ):
        path = write(tmp_path / "t.jsonl", [*rows, row])
        with pytest.raises(DataError, match=rf"t\.jsonl:31: .*{message}"):
            table(path, prompt="Capital of {country}?")


def test_a_prompt_may_ask_with_choices_alone(tmp_path: Path):
    rows = [{"choices": [f"a{i}", f"b{i}"], "answer": "A"} for i in range(30)]
    tasks = table(write(tmp_path / "t.jsonl", rows), prompt="Choose.\n{choices}")
    task = tasks.task("train", 0)
    assert task.data["question"] == "Choose."
    first, second = task.data["choices"]
    assert opening(tasks, task) == [("user", f"Choose.\nA) {first}\nB) {second}")]


def test_a_table_without_answers_says_so(tmp_path: Path):
    said: list[str] = []
    tasks = table(write(tmp_path / "t.jsonl", [{"question": f"{i}?"} for i in range(30)]), said)
    assert "no column looks like an answer among question: set columns: {answer: NAME}, or judge without one" in said[0]
    task = tasks.task("train", 0)
    assert task.answer == ""
    with pytest.raises(
        EnvError,
        match=r"t\.jsonl:\d+: there is no answer to demonstrate; no column looks like",
    ):
        tasks.demonstrate(task, Random(0))


def test_a_split_of_a_folder_is_held_out(tmp_path: Path):
    folder = tmp_path / "both"
    folder.mkdir()
    write(folder / "train.jsonl", ROWS)
    write(folder / "test.jsonl", ROWS[:10])
    tasks = table(folder, heldout_split="test")
    assert [len(found) for found in tasks._tasks.tasks.values()] == [50, 10]
    with pytest.raises(DataError, match="without a file of the split 'validation'"):
        table(folder, heldout_split="validation")


TOOLS = """
import time

def lookup(word: str) -> str:
    "Look a word up."
    if word == "spin":
        while True: pass
    return word.upper()
"""


def test_a_table_with_tools_of_ones_own(tmp_path: Path):
    (tmp_path / "my_tools.py").write_text(TOOLS)
    path = write(tmp_path / "t.jsonl", [{"question": f"{i}?", "answer": str(i)} for i in range(30)])
    tasks = table(path, tools=[f"{tmp_path}/my_tools.py:lookup"], tool_seconds=0.3)
    task = tasks.task("train", 0)
    assert [spec.name for spec in tasks.tools(task)] == ["lookup"]

    async def go() -> list[Any]:
        env = tasks.env(task)
        await env.reset(task)
        said = [ToolCall("lookup", {"word": word}, id=word) for word in ("spin", "ab")]
        steps = [await env.step(Message.assistant("", tool_calls=(call,))) for call in said]
        steps.append(await env.step(Message.assistant("done")))
        await env.close()
        return steps

    slow, quick, last = asyncio.run(go())
    assert slow.messages == (Message.tool("lookup: the call took longer than 0.3 s", "spin"),)
    assert quick.messages == (Message.tool("AB", "ab"),)
    assert (last.done, last.reward) == (True, None), "a rubric judges"
    with pytest.raises(ConfigError, match=r"my_tools has no look; there is lookup, time|has no look"):
        table(path, tools=[f"{tmp_path}/my_tools.py:look"])
