import re
from itertools import combinations, pairwise, permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.envs.api import Task
from espalier.envs.catalogue.paths import Paths, PathsConfig

HAND = {"edges": ["ab", "ca", "cd", "bd", "de"], "start": "a", "end": "e"}
SEEDS = st.integers(0, 10**6)


def made(**settings: Any) -> Paths:
    return Paths(PathsConfig(**settings), 0)


def edges_of(data: dict[str, Any]) -> set[str]:
    return {"".join(sorted(edge)) for edge in data["edges"]}


def all_paths(data: dict[str, Any]) -> set[str]:
    """By brute force: every row of nodes that is a path."""
    nodes, edges = sorted({*"".join(data["edges"])}), edges_of(data)
    inner = [node for node in nodes if node not in (data["start"], data["end"])]
    rows = [[data["start"], *row, data["end"]] for n in range(len(inner) + 1) for row in permutations(inner, n)]
    return {"".join(row) for row in rows if all("".join(sorted(step)) in edges for step in pairwise(row))}


def test_by_hand():
    tasks = made(direct=0, slips=0)
    assert tasks.question(HAND) == "ab ca cd bd de>a-e="
    assert tasks.answer(HAND) in ("abde", "acde")
    assert all_paths(HAND) == {"abde", "acde"}
    right = ["abde", "acde"]
    wrong = ["", "a", "ae", "abe", "edba", "abdcabde", "abdbde", "abdd", "abde ", " abde", "ABDE", "abd-abde", "abdee"]
    assert [tasks.verify(HAND, answer) for answer in right] == [True, True]
    assert [answer for answer in wrong if tasks.verify(HAND, answer)] == []
    assert tasks.canonical_answer(HAND, " abde\n") == "abde"


@given(SEEDS, st.integers(4, 7), st.sampled_from([1.0, 1.2, 1.5]))
def test_instances_have_a_path_of_two_edges_or_more(seed: int, nodes: int, edges: float):
    tasks = made(nodes=nodes, edges=edges)
    data = tasks.draw(Random(seed))
    assert len(edges_of(data)) == len(data["edges"]) == min(round(nodes * edges), nodes * (nodes - 1) // 2 - 1)
    assert "".join(sorted(data["start"] + data["end"])) not in edges_of(data)
    paths = all_paths(data)
    assert paths
    assert min(map(len, paths)) == len(tasks.answer(data)) >= 3
    for row in paths:
        assert tasks.verify(data, row)


@given(SEEDS, st.text(alphabet="abcdefg", min_size=1, max_size=8))
def test_what_is_no_path_is_wrong(seed: int, answer: str):
    tasks = made(nodes=6)
    data = tasks.draw(Random(seed))
    assert tasks.verify(data, answer) == (answer in all_paths(data))


@given(SEEDS)
def test_one_graph_is_one_instance_however_it_is_written(seed: int):
    tasks, random = made(), Random(seed)
    data = tasks.draw(random)
    edges = [edge[::-1] if random.random() < 0.5 else edge for edge in random.sample(data["edges"], len(data["edges"]))]
    turned = {"edges": edges, "start": data["end"], "end": data["start"]}
    other = {**data, "edges": data["edges"][1:]}
    assert tasks.canonical(turned) == tasks.canonical(data) != tasks.canonical(other)


@given(SEEDS, st.integers(4, 14), st.integers(0, 4))
def test_a_search_follows_edges_and_backs_out_of_dead_ends(seed: int, nodes: int, tries: int):
    tasks, random = made(nodes=nodes, direct=0, slips=0, tries=tries), Random(seed)
    data = tasks.draw(random)
    work, _, answer = tasks.solve(data, random).partition(" #")
    *dead, found = work.split(" ")
    edges = edges_of(data)
    assert found == answer
    assert tasks.verify(data, answer)
    assert len(dead) <= tries
    for row in dead:
        assert re.fullmatch(f"{data['start']}[a-z]+-", row)
        assert all("".join(sorted(step)) in edges for step in pairwise(row[:-1]))
        assert data["end"] not in row


def test_searches_meet_dead_ends_and_slips_make_edges_up():
    searches, slips = made(nodes=10, direct=0, slips=0), made(nodes=10, direct=0, slips=1)
    random = Random(0)
    instances = [searches.draw(random) for _ in range(300)]
    assert sum("-" in searches.solve(data, random) for data in instances) > 50
    assert sum(tasks_right(slips, data, random) for data in instances) < 10


def tasks_right(tasks: Paths, data: dict[str, Any], random: Random) -> bool:
    return tasks.verify(data, tasks.solve(data, random).partition("#")[2])


def test_questions_do_not_tell_the_path():
    """The start stands in an edge at any place equally often, edges are written in either direction, all nodes are
    ends.
    """
    tasks, random, count = made(nodes=8), Random(0), 3000
    at_start, along, steps, ends = [0] * 8, 0, 0, set()
    for data in (tasks.draw(random) for _ in range(count)):
        for place, edge in enumerate(data["edges"]):
            at_start[place] += data["start"] in edge
        path = ["".join(step) for step in pairwise(tasks.answer(data))]
        along += sum(step in data["edges"] for step in path)
        steps += len(path)
        ends.add(data["start"] + data["end"])
    mean = sum(at_start) / 8
    assert mean > count / 8
    assert all(abs(seen - mean) < 0.04 * count for seen in at_start), at_start
    assert along / steps == pytest.approx(0.5, abs=0.02)
    assert ends == {a + b for a, b in permutations("abcdefgh", 2)}


def test_every_pair_of_nodes_may_be_an_edge():
    tasks, random = made(nodes=5), Random(0)
    found = set().union(*(edges_of(tasks.draw(random)) for _ in range(200)))
    assert found == {a + b for a, b in combinations("abcde", 2)}


def test_the_task_needs_no_answer_of_its_own():
    task = made().task("train", 0)
    assert isinstance(task, Task)
    assert made().verify(task.data, task.answer)
