"""The cache's bookkeeping against the obvious model: every row's KV must be that of the tokens it is said to hold."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.engine.api import Sampling
from espalier.engine.batching.sequence import Sequence
from espalier.engine.kv.prefix import PrefixIndex
from espalier.engine.kv.rows import Rows
from espalier.engine.kv.slab import Slab

MAX_ROWS, RETAIN, MAX_LEN = 4, 2, 128


def make_slab(rows: int = MAX_ROWS + RETAIN) -> Slab:
    return Slab(
        layers=2,
        rows=rows,
        kv_heads=2,
        max_len=MAX_LEN,
        head_dim=4,
        hidden_size=3,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )


def write(slab: Slab, row: int, start: int, tokens: np.ndarray) -> None:
    """KV and hidden state of a token: its id, in layer 1 its id plus one half; values negative."""
    rows, positions = torch.full((len(tokens),), row), torch.arange(start, start + len(tokens))
    ids = torch.from_numpy(tokens).float()[:, None, None].expand(-1, slab.kv_heads, slab.head_dim)
    for layer in range(2):
        slab.write(layer, slab.slots(rows, positions), ids + layer / 2, -ids - layer / 2)
    slab.write_hidden(rows, positions, ids[:, 0, :3])


def assert_holds(slab: Slab, row: int, tokens: np.ndarray) -> None:
    ids = torch.from_numpy(tokens).float()
    for layer in range(2):
        keys, values = slab.gather(layer, torch.tensor([row]), len(tokens))
        assert torch.equal(keys, (ids + layer / 2)[None, None, :, None].expand_as(keys))
        assert torch.equal(values, (-ids - layer / 2)[None, None, :, None].expand_as(values))
    assert torch.equal(slab.hidden[row, : len(tokens)], ids[:, None].expand(-1, 3))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_rows_hold_what_the_index_says(data: st.DataObject, retain: bool) -> None:
    slab, moved = make_slab(), {}
    index = PrefixIndex(slab.rows, MAX_LEN)
    rows = Rows(slab, index, lambda source, target: moved.update({target: moved.pop(source)}), retain=retain)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    history = [random.integers(0, 3, 90) for _ in range(3)]
    for _ in range(data.draw(st.integers(5, 40))):
        action = data.draw(st.sampled_from(["give", "give", "grow", "take", "compact"]))
        if action == "give" and rows.running < MAX_ROWS:
            base = history[random.integers(len(history))]
            prompt = np.concatenate([base[: random.integers(0, 90)], random.integers(0, 3, random.integers(1, 8))])
            sequence = Sequence(prompt, Sampling(max_tokens=1), session=int(random.integers(0, 3)))
            before = max(_common(index, row, prompt) for row in range(slab.rows))
            rows.allocate(sequence, 0)
            assert sequence.cached == before, "a longer prefix was held, or one that was not"
            assert_holds(slab, sequence.row, prompt[: sequence.cached])
            write(slab, sequence.row, sequence.cached, prompt[sequence.cached :])
            index.held[sequence.row] = len(prompt)
            moved[sequence.row] = sequence
        elif action == "grow" and moved:
            row = list(moved)[random.integers(len(moved))]
            held, token = int(index.held[row]), random.integers(0, 3, 1)
            index.tokens[row, held] = token[0]
            write(slab, row, held, token)
            index.held[row] = held + 1
        elif action == "take" and moved:
            row = list(moved)[random.integers(len(moved))]
            index.pin[row] = moved.pop(row).session
            history.append(index.tokens[row, : index.held[row]].copy())
            rows.free(row)
        elif action == "compact":
            rows.compact()
            assert sorted(moved) == list(range(rows.active)), "active rows are not the first ones"
        for row in range(slab.rows):
            if index.held[row]:
                assert_holds(slab, row, index.tokens[row, : index.held[row]])


def _common(index: PrefixIndex, row: int, prompt: np.ndarray) -> int:
    if index.version[row] != 0:
        return 0
    length = 0
    while length < min(len(prompt), index.held[row]) and index.tokens[row, length] == prompt[length]:
        length += 1
    return length


def test_least_recently_used_row_goes_first_and_pinned_rows_last() -> None:
    index = PrefixIndex(4, 8)
    for row in range(4):
        index.open(row, np.array([row, row]), 0, held=2, version=0)
        index.touch(row)
    index.pin[0] = 1
    assert index.least_retained(0, spare=-1) == 1
    assert index.least_retained(0, spare=1) == 2
    index.clear(3)
    assert index.least_retained(0, spare=-1) == 3
    assert index.least_retained(4, spare=-1) is None
    index.unpin(1)
    index.clear(1)
    index.open(3, np.array([9]), 0, held=1, version=0)
    index.touch(3)
    assert index.least_retained(2, spare=-1) == 2


def test_prefixes_of_another_version_do_not_count() -> None:
    index, prompt = PrefixIndex(2, 8), np.array([1, 2, 3])
    index.open(0, prompt, hash(prompt.tobytes()), held=3, version=4)
    assert index.match(prompt, hash(prompt.tobytes()), 4) == (0, 3)
    assert index.match(prompt, hash(prompt.tobytes()), 5).length == 0
    index.expire()
    assert index.match(prompt, hash(prompt.tobytes()), 4).length == 0
