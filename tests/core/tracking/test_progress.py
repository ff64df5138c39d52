import io

import pytest
from rich.console import Console

from espalier.core.clock import VirtualClock
from espalier.core.stop import Stop
from espalier.core.tracking.progress import Progress, duration, readable, sparkline


def plain(clock: VirtualClock, total: int = 100) -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=False, width=80)
    return Progress(total, "RL", console=console, clock=clock, stop=Stop()), out


def test_without_a_terminal_a_line_every_few_seconds_and_a_last_one() -> None:
    clock = VirtualClock()
    progress, out = plain(clock)
    with progress:
        for step in range(1, 101):
            clock.advance(0.5)
            progress.update(step, {"reward": step / 100})
    lines = out.getvalue().splitlines()
    assert lines[0] == "RL 10/100  2.0 steps/s  45 s left  reward 0.1"
    assert lines[-1] == "RL 100/100  2.0 steps/s  reward 1"
    assert len(lines) == 11


def test_the_rate_follows_a_change_of_pace() -> None:
    clock = VirtualClock()
    progress, _ = plain(clock, total=1000)
    for step in range(1, 200):
        clock.advance(1.0 if step < 100 else 4.0)
        progress.update(step, {})
    assert progress.rate == pytest.approx(0.25)
    assert "4.0 s/step" in progress.line()


def test_a_resumed_stage_counts_only_its_own_steps() -> None:
    clock = VirtualClock()
    progress, _ = plain(clock, total=1000)
    with progress:
        progress.update(500, {})
        clock.advance(1.0)
        progress.update(501, {})
        assert progress.rate == pytest.approx(1.0)


def test_a_value_that_the_last_update_does_not_have_is_not_shown() -> None:
    progress, _ = plain(VirtualClock())
    progress.update(1, {"reward": 0.5, "entropy": 2.0})
    progress.update(2, {"reward": 0.25})
    assert progress.line() == "RL 2/100  reward 0.25"


def test_notes_are_printed_as_they_are() -> None:
    progress, out = plain(VirtualClock())
    progress.note("saved [bold] step_10")
    assert out.getvalue() == "saved [bold] step_10\n"


def test_the_panel_shows_bar_values_notes_and_that_a_stop_was_heard() -> None:
    clock = VirtualClock()
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    stop = Stop()
    with Progress(10, "RL", console=console, clock=clock, stop=stop) as progress:
        for step in range(1, 6):
            clock.advance(1.0)
            progress.update(step, {"accuracy": step / 10})
        progress.note("evaluated")
        stop.tell("stopping")
    shown = out.getvalue()
    for part in ("RL", "5/10", "1.0 steps/s", "5 s left", "accuracy", "0.5", "▁▃▄▆█", "evaluated", "stopping"):
        assert part in shown


@pytest.mark.parametrize(
    ("values", "bars"),
    [([0, 1], "▁█"), ([3, 3, 3], "▁▁▁"), ([], ""), ([0, float("nan"), 7], "▁ █"), ([float("nan")], "")],
)
def test_sparkline(values: list[float], bars: str) -> None:
    assert sparkline(values) == bars


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (12.0, "12"), (0.123456, "0.1235"), (1234.5, "1,234"), (1e-7, "1e-07"), (float("nan"), "nan"),
     (float("inf"), "inf"), (2e9, "2e+09"), (-3.5, "-3.5")],
)  # fmt: skip
def test_readable(value: float, text: str) -> None:
    assert readable(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
