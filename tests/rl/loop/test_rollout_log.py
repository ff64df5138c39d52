"""Answers of training in a file: what a line holds, and what is dropped when it grows too large."""

import json
from pathlib import Path

import pytest

from espalier.core.messages import Message
from espalier.core.report.rollouts import RolloutGroup, read_rollouts
from espalier.envs.api import Episode, Task
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.table import ALGORITHMS, algorithm
from espalier.rl.config import RolloutLogConfig
from espalier.rl.loop.record.rollout_log import RolloutLog, title
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory

ASKED = [Message.system("be brief"), Message.user("first"), Message.assistant("hm"), Message.user("later")]


def played(index: int, rewards: list[float], text: str = "yes") -> ScoredGroup:
    """Rows of a prompt of two tokens, an answer of three, an observation of one and a last answer of one."""
    group = ScoredGroup(index, Task("toy", f"k{index}", {"answer": "72"}))
    for member, reward in enumerate(rewards):
        row = Trajectory("toy", f"k{index}", index, member, reward=reward, rewards={"exact": reward, "brief": 0.0})
        row.info["verdict"] = reward
        row.observe([1, 2], "prompt")
        row.sample([3, 4, 5], [0.0] * 3, [0] * 3)
        row.observe([6], "tool")
        row.sample([7], [0.0], [0])
        group.rows.append(row)
        group.episodes.append(Episode(group.task, [*ASKED, Message.assistant(text)], finish="length"))
    return group


def log(tmp_path: Path, chosen: Algorithm | None = None, said: list[str] | None = None, **config: float) -> RolloutLog:
    said = [] if said is None else said
    return RolloutLog(
        tmp_path / "rollouts.jsonl",
        RolloutLogConfig.of(**config),
        chosen or algorithm("grpo", advantage="group_mean"),
        lambda ids: "".join(map(str, ids)),
        said.append,
        correct_above=0.5,
    )


def kept(tmp_path: Path) -> list[RolloutGroup]:
    return read_rollouts(tmp_path / "rollouts.jsonl")


def test_a_line_holds_the_prompt_and_each_answer_with_what_it_was_worth(tmp_path: Path):
    log(tmp_path, groups=1).write(3, [played(0, [1.0, 0.0, 0.0, 0.0]), played(1, [1.0, 0.0])])
    (group,) = kept(tmp_path)
    assert (group.step, group.key, group.title) == (3, "k0", "first")
    assert [(s.role, s.text) for s in group.prompt] == [("system", "be brief"), ("user", "first")]
    first, second = group.answers[:2]
    assert [(s.role, s.text) for s in first.turns] == [("assistant", "345"), ("tool", "6"), ("assistant", "7")]
    assert first.facts == {
        "reward": 1.0,
        "advantage": 0.75,
        "tokens": 4,
        "finish": "length",
        "expected": "72",
        "exact": 1.0,
        "brief": 0.0,
    }
    assert (first.correct, second.correct, second.facts["advantage"]) == (True, False, -0.25)


def test_with_a_critic_the_advantage_is_not_known_here(tmp_path: Path):
    log(tmp_path, algorithm("ppo")).write(1, [played(0, [1.0])])
    assert kept(tmp_path)[0].answers[0].facts["advantage"] is None


@pytest.mark.parametrize("name", ALGORITHMS)
def test_answers_of_every_algorithm_are_kept(tmp_path: Path, name: str):
    chosen = ALGORITHMS[name].model_copy(update={"kl_coef": 0.1})
    log(tmp_path, chosen).write(1, [played(0, [1.0, 0.0]), played(1, [0.5, 0.25])])
    advantages = [answer.facts["advantage"] for group in kept(tmp_path) for answer in group.answers]
    if chosen.needs_values:
        assert advantages == [None] * 4
    else:
        assert len({value for value in advantages if isinstance(value, float)}) > 1


def test_steps_are_passed_over_forgotten_and_not_written_at_all(tmp_path: Path):
    rollouts = log(tmp_path, every=2)
    for step in range(1, 8):
        rollouts.write(step, [played(0, [1.0, 0.0])])
    assert [group.step for group in kept(tmp_path)] == [2, 4, 6]
    rollouts.rewind(4)
    assert [group.step for group in kept(tmp_path)] == [2, 4]
    log(tmp_path, groups=0).write(8, [played(0, [1.0, 0.0])])
    assert [group.step for group in kept(tmp_path)] == [2, 4]


def test_a_file_that_is_too_large_keeps_every_second_step_and_says_so(tmp_path: Path):
    said: list[str] = []
    line = len(json.dumps({"step": 1})) + 900
    rollouts = log(tmp_path, said=said, max_mb=10 * line / 1e6)
    for step in range(1, 65):
        rollouts.write(step, [played(0, [1.0, 0.0])])
    steps = [group.step for group in kept(tmp_path)]
    gap = steps[1] - steps[0]
    assert (tmp_path / "rollouts.jsonl").stat().st_size <= 10 * line
    assert steps == list(range(gap, 65, gap)), "what is left is spread evenly over the whole run"
    assert gap in (4, 8, 16)
    assert len(said) == gap.bit_length() - 1
    assert said[0].endswith("(rollout_log.max_mb): from now on it keeps the steps that 2 divides")
    resumed = log(tmp_path)
    resumed.rewind(steps[-1])
    for step in range(steps[-1] + 1, steps[-1] + 1 + gap):
        resumed.write(step, [played(0, [1.0, 0.0])])
    assert [group.step for group in kept(tmp_path)] == [*steps, steps[-1] + gap], "a resumed run goes on as rarely"


def test_the_middle_of_a_long_text_is_left_out(tmp_path: Path):
    rollouts = log(tmp_path, longest=4)
    group = played(0, [1.0, 0.0])
    for row in group.rows:
        row.observe([8], "tool")
        row.sample(list(range(10, 13)), [0.0] * 3, [0] * 3)
    rollouts.write(1, [group])
    assert kept(tmp_path)[0].answers[0].turns[-1].text == "10\n[... 2 characters left out ...]\n12"


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        ([Message.system("s"), Message.user("a\n b"), Message.user("c  d")], "c d"),
        ([Message.system("only")], "only"),
        ([], "k"),
        ([Message.user("q"), Message.assistant("a"), Message.user("no")], "q"),
    ],
)
def test_the_title_is_the_last_that_the_user_said_before_the_answer(messages: list[Message], wanted: str):
    assert title(Episode(Task("toy", "k", {}), messages)) == wanted


def test_each_part_of_an_answer_has_the_version_that_sampled_it(tmp_path: Path):
    group = played(0, [1.0, 0.0])
    group.rows[0].versions = [-1, -1, 4, 5, 5, -1, 6]
    log(tmp_path).write(3, [group], version=6)
    (line,) = [json.loads(text) for text in (tmp_path / "rollouts.jsonl").read_text().splitlines()]
    assert line["version"] == 6
    first, second = line["answers"]
    assert [turn.get("versions") for turn in first["turns"]] == [[[4, 1], [5, 2]], None, [[6, 1]]]
    assert [turn.get("versions") for turn in second["turns"]] == [[[0, 3]], None, [[0, 1]]]
    (read,) = kept(tmp_path)
    assert read.answers[0].turns[0].versions == [(4, 1), (5, 2)]


def test_of_a_long_answer_the_versions_of_both_ends_are_kept(tmp_path: Path):
    group = played(0, [1.0, 0.0])
    for row in group.rows:
        row.observe([8], "tool")
        row.sample(list(range(10, 13)), [0.0] * 3, [7, 8, 9])  # the text 101112
    log(tmp_path, longest=4).write(1, [group], version=9)
    turn = kept(tmp_path)[0].answers[0].turns[-1]
    assert turn.text == "10\n[... 2 characters left out ...]\n12"
    assert turn.versions == [(7, 2), (-1, len(turn.text) - 4), (9, 2)]


def test_a_searched_group_is_logged_with_its_tree(tmp_path: Path):
    one = Trajectory("toy", "k", member=0, reward=1.0, rewards={"env": 1.0}, info={"verdict": 1.0})
    one.observe([1, 2], "prompt")
    one.sample([3, 4, 5], [-0.1, -2.5, -0.3], [0] * 3)
    two = one.fork(3, 1, trained=True)
    two.sample([6], [-0.4], [0])
    two.reward, two.info = 0.0, {"verdict": 0.0, "surprisal": 2.5}
    task = Task("toy", "k", {})
    group = ScoredGroup(0, task, [one], [Episode(task, [*ASKED, Message.assistant("a")])], others=[two])
    one.advantages = [0.0, 0.0, 0.25, 0.5, 0.5]
    log(tmp_path).write(1, [group])
    (found,) = kept(tmp_path)
    assert [(b.text, b.parent, b.value, b.leaves, b.credit, b.surprisal, b.answer) for b in found.tree] == [
        ("3", -1, 0.5, 2, 0.25, None, None),
        ("45", 0, 1.0, 1, 0.5, None, 0),
        ("6", 0, 0.0, 1, None, 2.5, 1),
    ]
    assert [answer.facts.get("trained") for answer in found.answers] == [None, "no"]
    assert [answer.turns[-1].text for answer in found.answers] == ["345", "36"]
