"""Trace files: every format, errors by file and line, and arrivals with the statistics they claim."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.serving.config import TrafficConfig
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.sim.scenario import find_trace
from espalier.serving.traces.arrivals import gamma, on_off, poisson, replay
from espalier.serving.traces.load import load_trace
from espalier.serving.traces.trace import Trace, cuts

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
)
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n"
VIDUR = ",num_prefill_tokens,num_decode_tokens,pd_ratio\n0,2588,291.0,8.9\n1,12,3,4\n"
MOONCAKE = '{"timestamp": 500, "input_length": 1200, "output_length": 6, "hash_ids": [0, 1, 2]}\n'
NATIVE = '{"arrival_s": 3.5, "prompt_tokens": 7, "output_tokens": 2, "prefix_hashes": [9], "priority": 2}\n'


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    return file


@pytest.mark.parametrize(
    ("name", "text", "prompt", "output", "span"),
    [
        ("a.csv", AZURE, [374, 396], [44, 109], 4.314579),
        ("b.csv", BURST, [472], [18], 0.0),
        ("v.csv", VIDUR, [2588, 12], [291, 3], None),
        ("m.jsonl", MOONCAKE, [1200], [6], 0.0),
        ("n.jsonl", NATIVE, [7], [2], 0.0),
    ],
)
def test_every_format(
    tmp_path: Path, name: str, text: str, prompt: list[int], output: list[int], span: float | None
) -> None:
    trace = load_trace(write(tmp_path, name, text))
    assert (trace.prompt.tolist(), trace.output.tolist()) == (prompt, output)
    assert span is None if trace.arrival is None else float(trace.arrival[-1]) == pytest.approx(span, abs=1e-5)
    assert trace.blocks == ({"m.jsonl": [(0, 1, 2)], "n.jsonl": [(9,)]}.get(name))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", AZURE + "2023-11-16 18:15:51,x,3\n", r"a.csv:4: .*'x'"),
        ("a.csv", AZURE + "2023-11-16 18:15:51,5\n", r"a.csv:4: 2 fields, not 3 as in the header"),
        ("a.csv", AZURE + "yesterday,5,5\n", r"a.csv:4: .*yesterday"),
        ("a.csv", AZURE + "2023-11-16 18:15:51,0,5\n", r"a.csv:4: 0 prompt"),
        ("v.csv", VIDUR + "2,3.5,1,1\n", r"v.csv:4: num_prefill_tokens is '3.5', no whole number"),
        ("m.jsonl", MOONCAKE + '{"timestamp": 1}\n', r"m.jsonl:2: there is no"),
        ("m.jsonl", MOONCAKE + "{", r"m.jsonl:2: "),
        ("m.jsonl", MOONCAKE + "[1]", r"m.jsonl:2: a record is an object, not list"),
        ("m.jsonl", MOONCAKE.replace("1200", '"1200"'), r"m.jsonl:1: input_length is '1200', no whole number"),
        ("m.jsonl", MOONCAKE.replace("500", "NaN"), r"m.jsonl:1: timestamp is nan, no finite number"),
        ("m.jsonl", MOONCAKE.replace("500", '"soon"'), r"m.jsonl:1: timestamp is 'soon', no finite number"),
        ("m.jsonl", '{"timestamp": 1, "input_length": 4}', r"m.jsonl:1: there is no output_length; such a trace has"),
        ("m.jsonl", "[" * 100_000, r"m.jsonl:1: the JSON is nested too deeply"),
        ("n.jsonl", '{"tokens": 3}', r"n.jsonl:1 has the fields tokens; a trace has one of"),
        ("n.jsonl", NATIVE.replace("7", "1" + "0" * 30), r"n.jsonl:1: 1000000000000000000000000000000 prompt"),
        ("n.jsonl", NATIVE.replace("3.5", "1" + "0" * 400), r"n.jsonl:1: arrival_s is 10{39}\.\.\., no finite number"),
        ("n.jsonl", NATIVE.replace("3.5", "1e300"), r"n.jsonl:1: arrival 1e\+300 is no time in seconds"),
        ("n.jsonl", NATIVE.replace("3.5", "true"), r"n.jsonl:1: arrival_s is True, no finite number"),
        ("n.jsonl", NATIVE.replace(": 2}", ": 2.5}"), r"n.jsonl:1: priority is 2.5, no whole number"),
        ("n.jsonl", NATIVE.replace(": 2}", ": 9999999999}"), r"n.jsonl:1: priority 9999999999"),
        ("n.jsonl", '{"prompt_tokens": 7, "output_tokens": 2, "session": [1]}', r"n.jsonl:1: session is \[1\]"),
        ("v.csv", VIDUR + "2,inf,1,1\n", r"v.csv:4: num_prefill_tokens is 'inf', no whole number"),
        ("e.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n", r"/e.csv holds no requests"),
        ("e.csv", "", r"/e.csv holds no requests"),
        ("e.jsonl", "\n\n", r"/e.jsonl holds no requests"),
        ("a.csv", "TIMESTAMP,ContextTokens\n1,2\n", r"a.csv:1: there is no GeneratedTokens; such a trace has"),
        (
            "a.csv",
            "TIMESTAMP,ContextTokens,GeneratedTokens,ContextTokens\n1,2,3,4\n",
            r"a.csv:1: the header has a field",
        ),
        ("a.csv", AZURE + AZURE, r"a.csv:4: .*'TIMESTAMP'"),
        ("a.csv", AZURE + "2023-11-16 18:15:51,5,5,5\n", r"a.csv:4: 4 fields, not 3 as in the header"),
        ("a.csv", AZURE + "2023-11-16 18:15:51,5,5\udcff\n", r"a.csv:4: byte 0xff is not UTF-8 text"),
        ("m.jsonl", MOONCAKE + MOONCAKE.replace("6", "\udcff"), r"m.jsonl:2: byte 0xff is not UTF-8 text"),
    ],
)
def test_a_bad_row_is_an_error_with_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_trace(write(tmp_path, name, text))


@pytest.mark.parametrize(("name", "text"), [("a.csv", AZURE), ("n.jsonl", NATIVE * 2)])
def test_byte_order_marks_carriage_returns_and_blank_lines_do_no_harm(tmp_path: Path, name: str, text: str) -> None:
    plain = load_trace(write(tmp_path, name, text))
    odd = load_trace(write(tmp_path, name, "\ufeff" + text.replace("\n", "\r\n\r\n")))
    assert (odd.prompt.tolist(), odd.output.tolist()) == (plain.prompt.tolist(), plain.output.tolist())
    assert odd.arrival.tolist() == plain.arrival.tolist()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_times_do_not_depend_on_the_zone_of_the_machine(
    tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Berlin, clocks go from 2 to 3 on that morning; the trace is in UTC and does not."""
    rows = "2024-03-31 01:59:59.0,1,1\n2024-03-31 03:00:01.0,1,1\n2024-03-31 05:00:01+02:00,1,1\n"
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        trace = load_trace(write(tmp_path, "a.csv", AZURE.splitlines()[0] + "\n" + rows))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert trace.arrival is not None
    assert trace.arrival.tolist() == [0.0, 3602.0, 3602.0]


def test_requests_out_of_order_are_sorted_and_those_of_one_time_stay_in_order(tmp_path: Path) -> None:
    rows = [(5.0, 1), (2.0, 2), (5.0, 3), (3.0, 4), (2.0, 5)]
    text = (json.dumps({"arrival_s": at, "prompt_tokens": n, "output_tokens": 0}) for at, n in rows)
    trace = load_trace(write(tmp_path, "a.jsonl", "\n".join(text)))
    assert trace.prompt.tolist() == [2, 5, 4, 1, 3]
    assert trace.arrival is not None
    assert trace.arrival.tolist() == [0.0, 0.0, 1.0, 3.0, 3.0]
    assert trace.moved == 3
    assert trace.output.tolist() == [0] * 5


def test_a_session_makes_prefixes_of_prompts_that_grow(tmp_path: Path) -> None:
    """Two turns of one chat, of 2 and 3 whole blocks, share 2 of them; another chat shares none."""
    turns = [("a", 1100), ("b", 1100), ("a", 1600)]
    rows = ({"prompt_tokens": n, "output_tokens": 1, "session": session} for session, n in turns)
    trace = load_trace(write(tmp_path, "a.jsonl", "\n".join(json.dumps(row) for row in rows)))
    assert trace.blocks is not None
    first, other, second = trace.blocks
    assert (len(first), len(second)) == (2, 3)
    assert second[:2] == first
    assert not set(other) & set(second)
    index = PrefixIndex()
    requests = trace.requests(np.arange(3.0))
    index.add(requests[0], 0, 0)
    assert index.hits(requests[2]) == {(0, 0): 1024}
    assert index.hits(requests[1]) == {}


def test_a_long_trace_is_read_line_by_line(tmp_path: Path) -> None:
    """A file of 20 MB is never in memory; what is kept of a request is four numbers."""
    row = '{"prompt_tokens": 7, "output_tokens": 2, "note": "%s"}\n' % ("x" * 950)
    with (tmp_path / "a.jsonl").open("w") as file:
        file.writelines(row for _ in range(20_000))
    tracemalloc.start()
    assert len(load_trace(tmp_path / "a.jsonl")) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_500_000


def test_times_are_given_to_all_or_to_none(tmp_path: Path) -> None:
    rows = '{"prompt_tokens": 7, "output_tokens": 2}\n', '{"arrival_s": 1, "prompt_tokens": 7, "output_tokens": 2}\n'
    (tmp_path / "a.jsonl").write_text("".join(rows))
    with pytest.raises(DataError, match=r"a.jsonl:2: a time, where requests before have none; give all one, or none"):
        load_trace(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text("".join(reversed(rows)))
    with pytest.raises(DataError, match=r"a.jsonl:2: no time, where requests before have one"):
        load_trace(tmp_path / "a.jsonl")


def test_priorities_reach_the_requests(tmp_path: Path) -> None:
    rows = ({"prompt_tokens": 7, "output_tokens": 2, "priority": k % 2} for k in range(4))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    requests = load_trace(tmp_path / "a.jsonl").requests(np.array([0.0, 1.0]), np.array([3, 2]))
    assert [request.priority for request in requests] == [1, 0]


def test_there_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no .*none\.csv"):
        load_trace(tmp_path / "none.csv")


def test_arrivals_have_the_rate_and_the_variation_asked_for() -> None:
    rng = np.random.default_rng(0)
    for times, cv in ((poisson(200_000, 5.0, rng), 1.0), (gamma(200_000, 5.0, 3.0, rng), 3.0)):
        gaps = np.diff(times)
        assert gaps.mean() == pytest.approx(0.2, rel=0.03)
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)
        assert (gaps >= 0).all()
    times = on_off(200_000, 5.0, on=2.0, off=6.0, rng=rng)
    assert (np.diff(times) >= 0).all()
    assert times.size / times[-1] == pytest.approx(5.0, rel=0.05)


def test_a_replay_keeps_order_and_proportions() -> None:
    trace = Trace("t", np.array([1, 2, 3]), np.array([1, 1, 1]), np.array([0.0, 1.0, 4.0]))
    assert replay(trace, 2.0).tolist() == [0.0, 0.25, 1.0]
    with pytest.raises(DataError, match="no arrival times"):
        replay(Trace("t", trace.prompt, trace.output), 2.0)


def test_a_cap_cuts_prompts_and_their_prefixes() -> None:
    trace = Trace("t", np.array([1200]), np.array([1]), None, [(1, 2, 3)], 512).capped(600)
    assert (trace.prompt.tolist(), trace.blocks) == ([600], [(1, 2)])


@pytest.mark.data
def test_the_real_traces() -> None:
    root = DataRoot.find()
    azure = load_trace(root.file("traces/azure_conv.csv"))
    assert len(azure) == 19_366
    assert azure.prompt.mean() == pytest.approx(1155, abs=1)
    mooncake = load_trace(root.file("traces/mooncake_synthetic.jsonl"))
    assert len(mooncake) == 3_993
    assert mooncake.prompt.mean() == pytest.approx(15_325, abs=1)
    assert mooncake.blocks is not None


def same(one: Trace, other: Trace) -> bool:
    """Whether two traces have the same requests."""

    def rows(trace: Trace) -> tuple[object, ...]:
        numbers = (None if each is None else each.tolist() for each in (trace.arrival, trace.priority))
        return trace.prompt.tolist(), trace.output.tolist(), *numbers, trace.blocks

    return rows(one) == rows(other)


@pytest.mark.parametrize("hashes", ["", ', "hash_ids": null', ', "hash_ids": []'])
def test_no_hashes_are_no_hashes_however_they_are_written(tmp_path: Path, hashes: str) -> None:
    row = f'{{"timestamp": 0, "input_length": 5, "output_length": 2{hashes}}}\n'
    assert load_trace(write(tmp_path, "m.jsonl", row)).blocks is None
    two = load_trace(write(tmp_path, "m.jsonl", row + MOONCAKE))
    assert two.blocks == [(), (0, 1, 2)]


@pytest.mark.parametrize("nulls", ['"arrival_s": null', '"prefix_hashes": null', '"session": null', '"priority": null'])
def test_null_is_as_if_absent(tmp_path: Path, nulls: str) -> None:
    row = '{"prompt_tokens": 7, "output_tokens": 2%s}'
    with_null = load_trace(write(tmp_path, "n.jsonl", row % f", {nulls}"))
    assert same(with_null, load_trace(write(tmp_path, "p.jsonl", row % "")))


@pytest.mark.parametrize(
    ("name", "plain", "odd"),
    [
        ("a.csv", AZURE, AZURE.replace(",374,44", ",374.0,4.4e1")),
        ("a.csv", AZURE, AZURE.replace(",374,44", ', 374 ,"44"')),
        ("b.csv", BURST, BURST.replace("472", "472.0").replace("\n5,", "\n5.0,")),
        ("b.csv", BURST, BURST.replace(",18,", ",1.8E+1,")),
        ("v.csv", VIDUR, VIDUR.replace("2588", "2588.00")),
        ("m.jsonl", MOONCAKE, MOONCAKE.replace("1200", "1200.0").replace("500", "5e2").replace("[0, 1", "[0.0, 1.0")),
        ("m.jsonl", MOONCAKE, MOONCAKE.replace('length": 6', 'length": 6.0')),
        ("n.jsonl", NATIVE, NATIVE.replace("7", "7.0").replace(": 2,", ": 2e0,").replace("[9]", "[9.0]")),
        ("n.jsonl", NATIVE, NATIVE.replace(": 2}", ": 2.0}")),
    ],
)
def test_numbers_in_other_forms(tmp_path: Path, name: str, plain: str, odd: str) -> None:
    assert odd != plain
    assert same(load_trace(write(tmp_path, name, odd)), load_trace(write(tmp_path, f"p{name}", plain)))


@pytest.mark.parametrize("text", ["1_000", "٣", "0x10", "1,000", "", "None", "nan", "1e999", "5.5", "--5", "1e", "5 5"])
def test_what_is_no_number_is_named(tmp_path: Path, text: str) -> None:
    for name, row in (("a.csv", AZURE.replace(",374,", f',"{text}",')), ("v.csv", VIDUR.replace("2588", f'"{text}"'))):
        with pytest.raises(DataError, match=rf"{name}:2: \w+ is .*, no whole number"):
            load_trace(write(tmp_path, name, row))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\n  \n"])
@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", AZURE), ("b.CSV", BURST), ("m.jsonl", MOONCAKE), ("n.JSONL", NATIVE * 2)]
)
def test_encodings_and_line_ends_do_no_harm(tmp_path: Path, name: str, text: str, encoding: str, end: str) -> None:
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    file = tmp_path / f"odd_{name}"
    file.write_bytes((mark + text.replace("\n", end)).encode(encoding))
    assert same(load_trace(file), load_trace(write(tmp_path, name, text)))


def test_columns_go_by_name(tmp_path: Path) -> None:
    """In any order, with blanks around them, beside others, and in either kind of file."""
    columns = [
        ("GeneratedTokens", "44"),
        ("note", '"a, b"'),
        ("TIMESTAMP", "2023-11-16 18:15:46.68"),
        ("ContextTokens", "374"),
    ]
    text = ", ".join(name for name, _ in columns) + "\n" + ",".join(value for _, value in columns) + "\n"
    trace = load_trace(write(tmp_path, "a.csv", text))
    assert (trace.prompt.tolist(), trace.output.tolist()) == ([374], [44])
    csv = "priority,output_tokens,prompt_tokens,arrival_s,session\n2,2,700,3.5,a\n,1,900,4,\n"
    lines = (
        '{"arrival_s": 3.5, "prompt_tokens": 700, "output_tokens": 2, "priority": 2, "session": "a"}\n'
        '{"arrival_s": 4, "prompt_tokens": 900, "output_tokens": 1}\n'
    )
    assert same(load_trace(write(tmp_path, "n.csv", csv)), load_trace(write(tmp_path, "n.jsonl", lines)))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", AZURE.replace(",44", ""), "a.csv:2: 2 fields, not 3"),
        ("a.csv", AZURE + '2023-11-16 18:15:51,5,"5\n', "a.csv:4: "),
        ("m.jsonl", MOONCAKE.replace("[0, 1, 2]", '"012"'), r"m.jsonl:1: hash_ids is '012', no list"),
        ("m.jsonl", MOONCAKE.replace("1, 2", "null"), "m.jsonl:1: hash_ids is None, no whole number"),
        ("m.jsonl", MOONCAKE.replace("1200", "true"), "m.jsonl:1: input_length is True, no whole number"),
        ("m.jsonl", MOONCAKE.replace("}", ', "x": "\\ud800"}'), r"m.jsonl:1: \\ud800 is half a character"),
        ("n.jsonl", NATIVE.replace("7", "9" * 5000), "n.jsonl:1: not JSON"),
    ],
)
def test_damage_is_an_error_with_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_trace(write(tmp_path, name, text))


def test_nothing_is_cut_unless_it_is_asked_for_and_then_it_is_said(tmp_path: Path) -> None:
    """Of 40,000, 100 and 60,000 tokens, a cap of 32,000 leaves out 8,000 and 28,000: 36,000 of 100,100."""
    rows = ({"prompt_tokens": n, "output_tokens": 1} for n in (40_000, 100, 60_000))
    file = write(tmp_path, "n.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    root = DataRoot.find()
    whole = find_trace(TrafficConfig(trace=str(file)), root)
    assert (whole.prompt.tolist(), whole.notes) == ([40_000, 100, 60_000], [])
    cut = find_trace(TrafficConfig(trace=str(file), cap=32_000), root)
    assert cut.prompt.tolist() == [32_000, 100, 32_000]
    assert cut.notes == ["2 of 3 prompts were longer than `cap` and cut: 36,000 tokens, 36.0% of all, are left out"]
    assert cuts({"mine": cut, "whole": whole}) == {"mine: tokens left out (cap)": pytest.approx(0.36, abs=1e-3)}
