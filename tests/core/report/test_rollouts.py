import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from espalier.core.errors import DataError
from espalier.core.io.jsonlines import JsonLines
from espalier.core.report import rollouts
from espalier.core.report.rollouts import Answer, RolloutGroup, Spoken, as_line, read_rollouts, rollout_sets


def group(step: int, text: str = "a") -> RolloutGroup:
    answers = [Answer([Spoken("assistant", text)], {"reward": 0.123456789}, correct=None)]
    return RolloutGroup(step, f"k{step}", "asked", [Spoken("user", "q")], answers)


def test_groups_read_back_as_sets_by_step(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "r.jsonl")
    for step in (2, 1, 2):
        lines.append(as_line(group(step)))
    assert read_rollouts(lines.path) == [group(1), group(2), group(2)]
    shown = rollout_sets(lines.path)
    assert shown["steps"] == 2
    assert [(one["label"], len(one["samples"])) for one in shown["sets"]] == [("step 1", 1), ("step 2", 2)]
    sample = shown["sets"][0]["samples"][0]
    assert (sample["key"], sample["title"], sample["facts"]) == ("k1/0", "asked", {"reward": 0.12346})
    assert [passage["role"] for passage in sample["passages"]] == ["user", "assistant"]


def test_of_a_long_run_steps_are_chosen_over_its_whole_length(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "r.jsonl")
    for step in range(1, 2001):
        lines.append(as_line(group(step)))
    shown = rollout_sets(lines.path)
    steps = [int(one["label"].removeprefix("step ")) for one in shown["sets"]]
    assert (len(steps), steps[0], steps[-1], shown["steps"]) == (rollouts.MOST_STEPS, 1, 2000, 2000)
    assert max(b - a for a, b in pairwise(steps)) <= 35


def test_of_long_answers_fewer_steps_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "MOST_CHARACTERS", 5_000)
    lines = JsonLines(tmp_path / "r.jsonl")
    for step in range(1, 21):
        lines.append(as_line(group(step, "x" * 1000)))
    shown = rollout_sets(lines.path)
    assert [one["label"] for one in shown["sets"]][-1] == "step 20"
    assert len(shown["sets"]) in (3, 4)


def test_no_file_is_no_rollouts_and_a_broken_line_is_named(tmp_path: Path) -> None:
    assert rollout_sets(tmp_path / "none.jsonl") == {"sets": [], "steps": 0}
    (tmp_path / "r.jsonl").write_text('{"step": "one", "key": "", "title": "", "prompt": [], "answers": []}\n')
    with pytest.raises(DataError, match=r"r\.jsonl:1: step: "):
        read_rollouts(tmp_path / "r.jsonl")


def versioned(step: int, *versions: tuple[int, int]) -> RolloutGroup:
    turns = [Spoken("assistant", "abcdef", versions), Spoken("user", "so")]
    return RolloutGroup(step, "k", "asked", [Spoken("user", "q")], [Answer(turns)], version=9)


def shown(tmp_path: Path, *groups: RolloutGroup) -> list[dict[str, Any]]:
    lines = JsonLines(tmp_path / "r.jsonl")
    for one in groups:
        lines.append(as_line(one))
    return [sample for one in rollout_sets(lines.path)["sets"] for sample in one["samples"]]


def test_where_a_step_has_several_versions_texts_are_divided_by_them(tmp_path: Path) -> None:
    (sample,) = shown(tmp_path, versioned(1, (7, 4), (-1, 1), (9, 1)))
    assert sample["version"] == 9
    prompt, answer, reply = sample["passages"]
    assert (answer["pieces"], answer["values"]) == (["abcd", "e", "f"], {"version": [7, None, 9]})
    assert (prompt["pieces"], prompt["values"]) == (["q"], {})
    assert (reply["pieces"], reply["values"]) == (["so"], {})


def test_versions_of_different_answers_of_a_step_count_and_those_of_other_steps_do_not(tmp_path: Path) -> None:
    first, second, third = shown(tmp_path, versioned(1, (7, 6)), versioned(1, (8, 6)), versioned(2, (9, 6)))
    assert [one["passages"][1]["values"] for one in (first, second, third)] == [{"version": [7]}, {"version": [8]}, {}]
    assert third["passages"][1]["pieces"] == ["abcdef"]


def test_files_of_older_runs_are_read(tmp_path: Path) -> None:
    line = as_line(group(1))
    assert "version" not in line
    assert "versions" not in line["answers"][0]["turns"][0]
    (tmp_path / "r.jsonl").write_text(json.dumps(line) + "\n")
    assert read_rollouts(tmp_path / "r.jsonl") == [group(1)]
