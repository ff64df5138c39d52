import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from espalier.core.clock import VirtualClock
from espalier.core.errors import DataError
from espalier.core.tracking.metrics import MetricLog, Point, last_seconds, read_history


class Recorder:
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.closed = False

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        self.rows.append((step, dict(metrics)))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_history_is_what_was_logged(path: Path) -> None:
    clock = VirtualClock()
    log = MetricLog(path, seconds=clock.now)
    log.log(1, {"a": 0.5, "b": 2})
    clock.advance(1.5)
    log.log(1, {"eval": 1.0})
    log.log(2, {"a": math.nan, "b": -math.inf})
    history = log.history()
    assert history["b"] == [Point(1, 2.0, 0.0), Point(2, -math.inf, 1.5)]
    assert math.isnan(history["a"][1].value)
    assert history["eval"] == [Point(1, 1.0, 1.5)]
    assert last_seconds(path) == 1.5


def test_each_call_is_one_line_of_strict_json_on_disk_at_once(path: Path) -> None:
    log = MetricLog(path, seconds=lambda: 3.0)
    log.log(7, {"a": math.nan, "b": 1.0})

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    assert json.loads(path.read_text(), parse_constant=refuse) == {"step": 7, "seconds": 3.0, "a": "nan", "b": 1.0}
    assert path.read_text().count("\n") == 1


def test_the_names_of_the_line_itself_are_refused(path: Path) -> None:
    log = MetricLog(path, seconds=lambda: 0.0)
    with pytest.raises(ValueError, match="'step'"):
        log.log(1, {"step": 1.0})
    assert path.read_text() == ""


def test_rewind_may_forget_what_comes_again_at_the_step_itself(path: Path) -> None:
    log = MetricLog(path, seconds=lambda: 0.0)
    for step, name in ((5, "eval/avg"), (6, "loss"), (6, "eval/avg"), (7, "loss")):
        log.log(step, {name: 1.0})
    log.rewind(6, without="eval/")
    assert [(step, name) for name, points in log.history().items() for step, *_ in points] == [
        (5, "eval/avg"),
        (6, "loss"),
    ]


def test_rewind_forgets_what_lies_beyond_the_step(path: Path) -> None:
    log = MetricLog(path, seconds=lambda: 0.0)
    for step in range(1, 6):
        log.log(step, {"a": step})
    log.rewind(3)
    log.log(4, {"a": 40})
    assert [(p.step, p.value) for p in log.history()["a"]] == [(1, 1), (2, 2), (3, 3), (4, 40)]


@pytest.mark.parametrize("torn", ['{"step": 2, "sec', '{"step": 2, "seconds": 0.0, "a": 1.0}'])
def test_a_torn_last_line_is_left_out_and_repaired(path: Path, torn: str) -> None:
    log = MetricLog(path, seconds=lambda: 0.0)
    log.log(1, {"a": 1})
    log.close()
    whole = path.read_text()
    path.write_text(whole + torn)
    assert [p.step for p in read_history(path)["a"]] == [1]
    log = MetricLog(path, seconds=lambda: 0.0)
    assert path.read_text() == whole
    log.log(2, {"a": 2})
    assert [p.step for p in log.history()["a"]] == [1, 2]


def test_a_broken_line_is_named(path: Path) -> None:
    path.write_text('{"step": 1, "seconds": 0}\nrubbish\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl:2"):
        read_history(path)


def test_sinks_get_the_same_and_are_closed(path: Path) -> None:
    sink = Recorder()
    log = MetricLog(path, seconds=lambda: 0.0, sinks=[sink])
    log.log(3, {"a": 1})
    log.close()
    assert sink.rows == [(3, {"a": 1.0})]
    assert sink.closed


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"step": 2, "seconds": 1, "a": "x"}', "a is 'x', not a number"),
        (b'{"step": 2, "seconds": 1, "a": null}', "a is None, not a number"),
        (b'{"step": 1.5, "seconds": 1}', "step is 1.5, not a whole number"),
        (b'{"step": true, "seconds": 1}', "step is True, not a whole number"),
        (b'{"step": 2, "seconds": "nan"}', "seconds is 'nan', not a number"),
        (b'{"step": 2}', "an object with step and seconds"),
        (b'{"step": 2, "seconds": 1, "a": 1' + b"0" * 400 + b"}", "a is 10+, not a number"),
        (b"[2, 1]", "an object with step and seconds"),
        (b'{"step": 2, "seconds": 1, "\xff": 1}', "byte 0xff is not UTF-8"),
        (b"[" * 50_000, "nested too deeply"),
    ],
)
def test_a_line_that_was_never_logged_is_named(path: Path, line: bytes, says: str) -> None:
    path.write_bytes(b'{"step": 1, "seconds": 0, "a": 1}\n' + line + b"\n")
    with pytest.raises(DataError, match=rf"metrics\.jsonl:2: .*{says}"):
        read_history(path)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_edited_file_reads_the_same_and_can_be_appended_to(path: Path, end: bytes) -> None:
    path.write_bytes(
        b"\xef\xbb\xbf" + b'{"step": 1, "seconds": 0, "a": 1}\n{"step": 2, "seconds": 0, "a": 2}\n'.replace(b"\n", end)
    )
    log = MetricLog(path, seconds=lambda: 3.0)
    log.log(3, {"a": 3})
    assert [point[:2] for point in log.history()["a"]] == [(1, 1.0), (2, 2.0), (3, 3.0)]
