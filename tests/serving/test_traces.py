"""Trace files: every format, errors by file and line, and arrivals with the statistics they claim."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.serving.traces.arrivals import gamma, on_off, poisson, replay
from espalier.serving.traces.load import load_trace
from espalier.serving.traces.trace import Trace

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
)
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n"
VIDUR = ",num_prefill_tokens,num_decode_tokens,pd_ratio\n0,2588,291.0,8.9\n1,12,3,4\n"
MOONCAKE = '{"timestamp": 500, "input_length": 1200, "output_length": 6, "hash_ids": [0, 1, 2]}\n'
NATIVE = '{"arrival_s": 3.5, "prompt_tokens": 7, "output_tokens": 2, "prefix_hashes": [9], "priority": 2}\n'


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
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
        ("a.csv", AZURE + "2023-11-16 18:15:51,5\n", r"a.csv:4: not 3 fields"),
        ("a.csv", AZURE + "yesterday,5,5\n", r"a.csv:4: .*yesterday"),
        ("a.csv", AZURE + "2023-11-16 18:15:51,0,5\n", r"a.csv:4: 0 prompt"),
        ("v.csv", VIDUR + "2,3.5,1,1\n", r"v.csv:4: '3.5' is no whole number"),
        ("m.jsonl", MOONCAKE + '{"timestamp": 1}\n', r"m.jsonl:2: there is no"),
        ("m.jsonl", MOONCAKE + "{", r"m.jsonl:2: "),
        ("m.jsonl", MOONCAKE + "[1]", r"m.jsonl:2: a record is an object, not list"),
        ("m.jsonl", MOONCAKE.replace("1200", '"1200"'), r"m.jsonl:1: input_length is '1200', no whole number"),
        ("m.jsonl", MOONCAKE.replace("500", "NaN"), r"m.jsonl:1: arrival nan"),
        ("n.jsonl", '{"tokens": 3}', r"n.jsonl has the fields tokens; a trace has one of"),
        ("e.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "e holds no requests"),
    ],
)
def test_a_bad_row_is_an_error_with_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_trace(write(tmp_path, name, text))


def test_times_are_given_to_all_or_to_none(tmp_path: Path) -> None:
    rows = '{"prompt_tokens": 7, "output_tokens": 2}\n', '{"arrival_s": 1, "prompt_tokens": 7, "output_tokens": 2}\n'
    (tmp_path / "a.jsonl").write_text("".join(rows))
    with pytest.raises(DataError, match="a: 1 of 2 requests have no time; give all one, or none"):
        load_trace(tmp_path / "a.jsonl")


def test_priorities_reach_the_requests(tmp_path: Path) -> None:
    rows = ({"prompt_tokens": 7, "output_tokens": 2, "priority": k % 2} for k in range(4))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    requests = load_trace(tmp_path / "a.jsonl").requests(np.array([0.0, 1.0]), np.array([3, 2]))
    assert [request.priority for request in requests] == [1, 0]


def test_there_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no trace"):
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
