"""Who waits for whom, in words."""

from __future__ import annotations

import asyncio

import pytest

from espalier.core.tracking.activity import Activity
from espalier.envs.api import Task
from espalier.rl.loop.admission import Admission
from espalier.rl.loop.ledger import Ledger
from espalier.rl.loop.record.now import Now
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.rollout.under_way import UnderWay


class NoEngines:
    def look(self) -> list[object]:
        return []


def now(admission: Admission | None = None, in_flight: InFlight | None = None) -> Now:
    clock = lambda: 7.0  # noqa: E731
    admission = admission or Admission(2, max_lag=2)
    engines = NoEngines()
    return Now(Activity(clock=clock), admission, Ledger(), in_flight or InFlight(), UnderWay(), engines)  # type: ignore[arg-type]


def words(seen: Now) -> dict[str, str]:
    return {one.who: one.doing for one in seen().work}


@pytest.mark.parametrize(
    ("doing", "learner"),
    [("collect", "waits for groups"), ("train", "trains"), ("publish", "publishes weights"), ("", None)],
)
def test_the_learner(doing: str, learner: str | None) -> None:
    seen = now()
    with seen.learner.at(doing):
        assert words(seen).get("learner") == learner


def test_the_queue_counts_groups() -> None:
    seen = now()
    for index in range(3):
        seen.ledger.start(index, 0)
    seen.ledger.accept(1)
    assert seen().queue == "groups: running 2, waiting to be trained 1, at most 6 together"


def test_admission_waits_for_weights_for_places_for_an_evaluation_or_for_nothing() -> None:
    assert "admission" not in words(now()), "it may start groups"
    full = now(Admission(2, max_lag=0, running=2))
    full.in_flight.full = True
    assert words(full)["admission"] == "waits for new weights"
    with full.learner.at("evaluate"):
        assert words(full) == {"learner": "waits for an evaluation", "admission": "waits for the evaluation"}
    assert words(now(Admission(2, total=4, version=1, accepted=4)))["admission"] == "has started the last group"

    async def crowd() -> None:
        crowded = now(in_flight=InFlight(1))
        async with crowded.in_flight.place():
            assert words(crowded)["admission"] == "waits for an attempt to end: 1 run"

    asyncio.run(crowd())


def test_attempts_and_the_slowest_of_them() -> None:
    seen = now()
    with seen.under_way.attempt(Task("maze", "k", {})) as playing, playing.at("environment"):
        playing.turn = 3
        assert words(seen)["attempts"] == "wait for the environment (1)"
        assert [(one.who, one.doing) for one in seen().slowest] == [("maze k", "turn 3, waits for the environment")]
