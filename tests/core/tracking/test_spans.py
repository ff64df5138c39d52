"""A timeline of a run in Chrome's format."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timelines import check, events

from espalier.core.clock import VirtualClock
from espalier.core.tracking import spans as module
from espalier.core.tracking.activity import Activity
from espalier.core.tracking.spans import Spans


def test_a_span_is_a_complete_event_in_microseconds(tmp_path: Path) -> None:
    clock = VirtualClock(1.5)
    spans = Spans(tmp_path / "trace.json", "run", clock=clock.now)
    with spans.lane("loop").span("train", step=3):
        clock.advance(0.25)
    spans.save()
    (train,) = check(events(tmp_path / "trace.json"))["loop"]
    assert train == {"ph": "X", "name": "train", "pid": 1, "tid": 0, "ts": 1500000, "dur": 250000, "args": {"step": 3}}


STEPS = st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 2.0), st.sampled_from("([])s")), max_size=40)


@given(STEPS)
def test_however_spans_follow_each_other_lanes_nest_and_the_file_is_whole(steps: list[tuple[int, float, str]]) -> None:
    """`(` begins a span in a lane, `)` ends the last; `[` takes a slot, `]` gives the last back; `s` saves."""
    clock = VirtualClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        spans = Spans(path, "run", clock=clock.now)
        open_spans: list[list[ExitStack]] = [[], [], []]
        slots: list[ExitStack] = []
        begun = 0
        for lane, seconds, what in steps:
            clock.advance(seconds)
            if what == "s":
                spans.save()
                check(events(path))
            elif what in "([":
                stack, begun = ExitStack(), begun + 1
                where = spans.lane(str(lane)) if what == "(" else stack.enter_context(spans.slot("attempt"))
                stack.enter_context(where.span(str(begun)))
                (open_spans[lane] if what == "(" else slots).append(stack)
            elif held := (open_spans[lane] if what == ")" else slots):
                held.pop().close()
        for stack in [*slots, *(stack for lane_stacks in open_spans for stack in reversed(lane_stacks))]:
            stack.close()
        spans.save()
        lanes = check(events(path))
    assert sum(map(len, lanes.values())) == begun, "none is lost"


def test_slots_are_taken_again(tmp_path: Path) -> None:
    spans = Spans(tmp_path / "trace.json", "run", clock=lambda: 0.0)
    with spans.slot("attempt") as first, spans.slot("attempt") as second:
        assert first is not second
    with spans.slot("attempt") as third, spans.slot("other") as other:
        assert third is first
        assert other not in (first, second)
    with ExitStack() as several:
        three = [several.enter_context(spans.slot("attempt")) for _ in range(3)]
    assert three[:2] == [first, second]


@pytest.mark.parametrize("cut", [0, 1, 2, 30, 10_000])
def test_a_resumed_run_goes_on_after_what_a_kill_left(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "trace.json"
    clock = VirtualClock()
    for session in (1, 2):
        spans = Spans(path, "run", clock=clock.now)
        with spans.lane("loop").span(f"train {session}"):
            clock.advance(1.0)
        spans.save()
        content = path.read_bytes()
        if session == 1 and cut:
            path.write_bytes(content[:-cut])
    names = [event["name"] for event in events(path) if event["ph"] == "X"]
    assert names == (["train 1", "train 2"] if cut <= 2 else ["train 2"])


def test_a_full_file_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 5)
    said: list[str] = []
    spans = Spans(tmp_path / "trace.json", "run", clock=lambda: 0.0, say=said.append)
    for _ in range(9):
        with spans.lane("loop").span("train"):
            pass
    spans.save()
    assert len(check(events(tmp_path / "trace.json"))["loop"]) == 5
    assert len(said) == 1
    assert said[0].endswith("trace.json holds 5 spans: later ones are not recorded")


def test_an_activity_records_what_it_does_also_where_it_fails(tmp_path: Path) -> None:
    spans = Spans(tmp_path / "trace.json", "run", clock=lambda: 0.0)
    loop = Activity(spans.lane("loop"))
    with pytest.raises(ValueError, match="it"), loop.at("evaluate"), loop.at("publish", step=1):
        raise ValueError("it")
    spans.save()
    assert [event["name"] for event in check(events(tmp_path / "trace.json"))["loop"]] == ["publish", "evaluate"]
