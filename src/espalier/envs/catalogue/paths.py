"""Paths: a way from one node of a graph to another.

    ab ac cd bd de>a-e=   ->   abd- acde #acde

Any path that visits no node twice is right. A worked demonstration searches: it goes on along any edge, marks a dead
end with `-`, and begins again where it had a choice. A direct one is a walk that does not look back.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations, pairwise, permutations
from math import comb
from random import Random
from string import ascii_lowercase
from typing import Any, Literal

from pydantic import Field

from espalier.envs.procedural import Question, TaskConfig

_ENUMERATED = 9
"""Nodes up to which all rows of nodes are gone through for the guess rate."""


class PathsConfig(TaskConfig):
    """Find a path in an undirected graph."""

    env: Literal["paths"] = "paths"
    """The environment."""
    nodes: int = Field(default=7, ge=4, le=20)
    """Nodes of the graph: the difficulty. Some of them may have no edge."""
    edges: float = Field(default=1.0, ge=1.0, le=1.5)
    """Edges for each node."""
    tries: int = Field(default=3, ge=0, le=20)
    """Dead ends, at most, that a worked demonstration shows: the last ones of its search."""
    direct: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of demonstrations that walk without a search, and jump to the end where they are stuck."""
    slips: float = Field(default=0.05, ge=0.0, le=1.0)
    """Probability that a step of a search follows an edge that is not there."""


class Paths(Question[PathsConfig]):
    """Instances `{"edges": ["ab", "ca", ...], "start": "a", "end": "e"}`. The two ends are never neighbours, and there
    always is a path.
    """

    env_name = "paths"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: the start, one or more of the other nodes, none twice, and the end. 0.0, for less
        than one in a thousand, above nine nodes.
        """
        nodes = self.config.nodes
        return _guess_rate(nodes, self._size()) if nodes <= _ENUMERATED else 0.0

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`. A path through at least half of the nodes, and other edges at random."""
        nodes = random.sample(ascii_lowercase[: self.config.nodes], self.config.nodes)
        length = random.randint(self.config.nodes // 2, self.config.nodes - 1)
        start, end = nodes[0], nodes[length]
        path = list(pairwise(nodes[: length + 1]))
        others = [pair for pair in combinations(nodes, 2) if pair not in path and pair != (start, end)]
        edges = path + random.sample(others, self._size() - length)
        turned = ["".join(random.sample(edge, 2)) for edge in random.sample(edges, len(edges))]
        return {"edges": turned, "start": start, "end": end}

    def canonical(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The edges in any order and either direction, and the two ends in either order."""
        edges = sorted("".join(sorted(edge)) for edge in data["edges"])
        return {"edges": edges, "ends": sorted((data["start"], data["end"]))}

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return f"{' '.join(data['edges'])}>{data['start']}-{data['end']}="

    def answer(self, data: Mapping[str, Any]) -> str:
        """A shortest path: one right answer among perhaps many."""
        neighbours, found = _neighbours(data), [data["start"]]
        for path in found:  # grows while it is gone through
            if path[-1] == data["end"]:
                return str(path)
            found += [path + node for node in neighbours[path[-1]] if node not in path]
        raise ValueError(f"no path from {data['start']} to {data['end']}")

    def verify(self, data: Mapping[str, Any], answer: str) -> bool:
        """A row of different nodes from the start to the end, with an edge between any two neighbours."""
        edges = {frozenset(edge) for edge in data["edges"]}
        return (
            len(answer) <= len(edges) + 1
            and (answer[:1], answer[-1:]) == (data["start"], data["end"])
            and len(set(answer)) == len(answer)
            and all(frozenset(step) in edges for step in pairwise(answer))
        )

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`."""
        if random.random() < self.config.direct:
            return f"#{_walk(data, random)}"
        *dead, path = self._search(data, random)
        shown = dead[max(0, len(dead) - self.config.tries) :]
        return f"{' '.join([*(f'{row}-' for row in shown), path])} #{path}"

    def _search(self, data: Mapping[str, Any], random: Random) -> list[str]:
        """The dead ends of a depth-first search, and the path that it found."""
        neighbours, end = _neighbours(data), data["end"]
        path, seen, rows, forward = [data["start"]], {data["start"]}, [], True
        while path[-1] != end:
            near = neighbours[path[-1]]
            choices = [node for node in near if node not in seen]
            if not choices:
                rows += ["".join(path)] if forward else []
                path.pop()
                forward = False
                continue
            far = [node for node in neighbours if node not in seen and node not in near]
            if far and random.random() < self.config.slips:
                choices = far
            elif end in choices:
                choices = [end]
            path.append(random.choice(choices))
            seen.add(path[-1])
            forward = True
        return [*rows, "".join(path)]

    def _size(self) -> int:
        """Edges of the graph: as many as asked for, at most all but the one between the two ends."""
        nodes = self.config.nodes
        return min(round(self.config.edges * nodes), comb(nodes, 2) - 1)


def _walk(data: Mapping[str, Any], random: Random) -> str:
    neighbours, path = _neighbours(data), str(data["start"])
    while choices := [node for node in neighbours[path[-1]] if node not in path]:
        path += random.choice(choices)
        if path[-1] == data["end"]:
            return path
    return path + str(data["end"])


def _neighbours(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """The nodes beside each node that has an edge, in the order in which the edges are written."""
    found: dict[str, list[str]] = {}
    for one, other in data["edges"]:
        found.setdefault(one, []).append(other)
        found.setdefault(other, []).append(one)
    return found


@lru_cache(maxsize=16)
def _guess_rate(nodes: int, size: int) -> float:
    """The share of right ones among the rows of the form, expected over the graphs with so many edges.

    The path that a graph is made with has any of its lengths equally often. Given it, a row is a path if the edges that
    it lacks are among those drawn from all others.
    """
    total, rows = 0.0, 0
    for length in range(nodes // 2, nodes):
        path = {frozenset(step) for step in pairwise(range(length + 1))}
        inner = [node for node in range(nodes) if node not in (0, length)]
        others, drawn = comb(nodes, 2) - 1 - length, size - length
        for count in range(1, len(inner) + 1):
            for between in permutations(inner, count):
                lacking = sum(frozenset(step) not in path for step in pairwise((0, *between, length)))
                total += comb(others - lacking, drawn - lacking) / comb(others, drawn) if lacking <= drawn else 0.0
                rows += 1
    return total / rows
