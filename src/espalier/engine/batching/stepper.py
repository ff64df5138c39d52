"""The engine without its event loop: queue requests, take steps, collect completions. Deterministic and synchronous.

A step admits waiting requests, computes one token of every active row (and a chunk of the prompts being prefilled) in
one forward pass, samples the rows whose prompt is complete and retires the rows that ended. Work per token is
vectorised over rows; Python code runs for a sequence only when it starts and when it ends.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from espalier.core.errors import EngineError
from espalier.engine.api import Completion, EngineStats, Finish, Progress
from espalier.engine.batching.sampler import Sampler
from espalier.engine.batching.scheduler import Scheduler, chunks
from espalier.engine.batching.sequence import Sequence
from espalier.engine.config import EngineConfig
from espalier.engine.forward.decode import DecodeAttention
from espalier.engine.forward.plan import BatchAttention, make_batch
from espalier.engine.forward.prefill import PrefillChunk
from espalier.engine.forward.runner import Runner
from espalier.engine.kv.prefix import NO_VERSION, PrefixIndex
from espalier.engine.kv.rows import Rows
from espalier.engine.kv.slab import Slab

Finished = tuple[Sequence, Completion | EngineError]
"""A request, and its completion or its error."""

_ROW = np.dtype([("length", "i8"), ("prompt", "i8"), ("limit", "i8"), ("order", "i8")])


class Stepper:
    """Continuous batching over a slab."""

    def __init__(self, runner: Runner, slab: Slab, config: EngineConfig, *, heads: int) -> None:
        rows, max_len = slab.rows, slab.max_len
        self.runner, self.slab, self.config = runner, slab, config
        self.decoding, self.scale = DecodeAttention(slab, heads), slab.head_dim**-0.5
        self.scheduler = Scheduler()
        self.index = PrefixIndex(rows, max_len)
        self.rows = Rows(slab, self.index, self._move, retain=config.retain_rows > 0)
        self.sampler = Sampler(rows)
        self.sequences: list[Sequence | None] = [None] * rows
        self.stats = EngineStats()
        self._prefilling: dict[int, Sequence] = {}
        self._state = np.zeros(rows, dtype=_ROW)
        self._stops = np.full((rows, 1), -1, dtype=np.int64)
        self._logprobs = np.zeros((2, rows, max_len), dtype=np.float32)

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return self.rows.running > 0 or bool(self.scheduler.waiting)

    @property
    def running(self) -> list[Sequence]:
        """The requests that have a row."""
        return [sequence for sequence in self.sequences[: self.rows.active] if sequence is not None]

    def submit(self, sequence: Sequence) -> None:
        """Queue a request."""
        continues = sequence.session > 0 and self.index.pinned(sequence.session)
        self.scheduler.add(sequence, continues=continues)

    def abort(self, sequence: Sequence) -> Completion:
        """End a waiting or running request now, with what it sampled so far."""
        if sequence.row < 0:
            self.scheduler.cancel(sequence)
            sequence.end("abort")
            return self._completion(sequence, np.zeros(0, dtype=np.int64), np.zeros((2, 0)), "abort")
        return self._retire(sequence.row, "abort")

    def set_version(self, version: int) -> None:
        """The weights changed. Running requests continue with their old KV; new requests do not reuse it."""
        self.runner.refresh()
        self.index.expire()
        self._prefilling.clear()
        for sequence in self.running:
            sequence.spans.append((int(self._state["length"][sequence.row]) - len(sequence.prompt), version))
        self.stats.version = version

    def reset(self) -> None:
        """Remove every request that has a row, and all cached KV. Waiting requests keep waiting."""
        self._prefilling.clear()
        for sequence in self.running:
            sequence.row = -1
        self.sequences = [None] * len(self.sequences)
        self.rows.reset()

    @torch.inference_mode()
    def report(self, sequence: Sequence) -> None:
        """Append to a running sequence's `news` what was sampled since the last call."""
        row = sequence.row
        if row < 0:
            return
        first, length = int(self._state["prompt"][row]) + sequence.reported, int(self._state["length"][row])
        if first == length:
            return
        tops: list[list[tuple[int, float]]] = [[]] * (length - first)
        if sequence.top:
            logits = self.runner.logits(self.slab.hidden[row, first - 1 : length - 1])
            best = logits.log_softmax(-1).topk(min(sequence.top, logits.shape[-1]))
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            tops = [list(zip(tokens, logprobs, strict=True)) for tokens, logprobs in pairs]
        tokens, raw = self.index.tokens[row, first:length].tolist(), self._logprobs[1, row, first:length].tolist()
        sequence.news += [Progress(*item, None) for item in zip(tokens, raw, tops, strict=True)]
        sequence.reported += length - first

    @torch.inference_mode()
    def step(self, *, admit: bool = True) -> list[Finished]:
        """Advance every active row by one token. Returns the requests that ended."""
        began = time.perf_counter()
        finished = self._admit() if admit else []
        self.rows.compact()
        if self.rows.active:
            finished += self._run()
            self.stats.steps += 1
        self.stats.busy_seconds += time.perf_counter() - began
        return finished

    def _admit(self) -> list[Finished]:
        """Start waiting requests while rows are free. Those whose whole prompt is cached sample their first token."""
        finished: list[Finished] = []
        while self.scheduler.waiting and self.rows.running < self.config.max_rows:
            self.scheduler.admit(self.config.max_rows - self.rows.running, self._start)
            self.rows.compact()
            rows = np.flatnonzero(self.index.held[: self.rows.active] == self._state["length"][: self.rows.active])
            if not len(rows):
                break
            hidden = self.slab.hidden[torch.from_numpy(rows), torch.from_numpy(self._state["prompt"][rows] - 1)]
            finished += self._postprocess(rows, hidden)
        return finished

    def _start(self, sequence: Sequence) -> bool:
        """Put a request into a row, unless its prompt is being prefilled for another."""
        if sequence.key in self._prefilling:
            return False
        self.rows.allocate(sequence, self.stats.version)
        row, length = sequence.row, len(sequence.prompt)
        self.sequences[row] = sequence
        self._state[row] = (length, length, sequence.limit, sequence.priority[1])
        self.sampler.set(row, sequence.sampling)
        self._set_stops(row, sequence.stop_candidates)
        sequence.spans.append((0, self.stats.version))
        self.stats.prompt_tokens += length
        self.stats.cached_tokens += sequence.cached
        if sequence.cached < length:
            self._prefilling[sequence.key] = sequence
        return True

    def _set_stops(self, row: int, stops: set[int]) -> None:
        if len(stops) > self._stops.shape[1]:
            wider = np.full((len(self._stops), len(stops)), -1, dtype=np.int64)
            wider[:, : self._stops.shape[1]] = self._stops
            self._stops = wider
        self._stops[row] = -1
        self._stops[row, : len(stops)] = sorted(stops)

    def _run(self) -> list[Finished]:
        """One forward pass over all active rows."""
        active = self.rows.active
        held, length = self.index.held[:active], self._state["length"][:active]
        plan, tokens, end = self._schedule(held, length)
        hidden = self.runner.forward(tokens, plan.batch.positions, plan)
        self.slab.write_hidden(plan.batch.rows, plan.batch.positions, hidden)
        self.index.held[:active] = end
        rows = np.flatnonzero(end == length)
        last = hidden[:active] if len(rows) == active else hidden[torch.from_numpy(rows).to(hidden.device)]
        return self._postprocess(rows, last) if len(rows) else []

    def _schedule(
        self, held: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
    ) -> tuple[BatchAttention, Tensor, npt.NDArray[np.int64]]:
        """The attention plan of this step, its tokens [N], and how many tokens each row will hold after it."""
        behind = length - held
        end, prefill = held + 1, []
        late = np.flatnonzero(behind > 1)
        if len(late):
            order = late[np.argsort(self._state["order"][late])].tolist()
            end = held + chunks(behind, order, self.config.prefill_tokens)
            prefill = [
                PrefillChunk(row, int(held[row]), int(end[row]) - 1) for row in order if end[row] > held[row] + 1
            ]
        batch = make_batch(end - 1, prefill, self.slab.device)
        tokens = self.index.tokens[np.arange(len(held)), end - 1]
        if prefill:
            tokens = np.concatenate([tokens, *(self.index.tokens[s.row, s.start : s.stop] for s in batch.chunks)])
        for row in np.flatnonzero(held < self._state["prompt"][: len(held)]):
            self._count_prefill(int(row), int(end[row] - held[row]))
        return (
            BatchAttention(self.decoding, batch, scale=self.scale),
            torch.from_numpy(tokens).to(self.slab.device),
            end,
        )

    def _count_prefill(self, row: int, count: int) -> None:
        sequence = self.sequences[row]
        assert sequence is not None
        sequence.prefilled += count
        self.stats.prefilled_tokens += count

    def _postprocess(self, rows: npt.NDArray[np.int64], hidden: Tensor) -> list[Finished]:
        """Sample the next token of `rows` from their last hidden states, and retire those that end with it."""
        position = self._state["length"][rows]
        drawn = self.sampler.draw(self.runner.logits(hidden), rows, position)
        tokens = drawn.tokens.cpu().numpy()
        self.index.tokens[rows, position] = tokens
        self._logprobs[0, rows, position] = drawn.logprobs.cpu().numpy()
        self._logprobs[1, rows, position] = raw = drawn.raw.cpu().numpy()
        self._state["length"][rows] = position + 1
        self.stats.sampled_tokens += len(rows)
        self._end_prefills(rows, position)
        maybe = (tokens[:, None] == self._stops[rows]).any(1)
        full = position + 1 >= self._state["limit"][rows]
        lost = ~np.isfinite(raw)
        finished: list[Finished] = [self._fail_row(row) for row in rows[lost].tolist()]
        for row in rows[(maybe | full) & ~lost].tolist():
            sequence = self.sequences[row]
            assert sequence is not None
            if sequence.stops_at(self._sampled(row)):
                finished.append((sequence, self._retire(row, "stop")))
            elif self._state["length"][row] >= sequence.limit:
                finished.append((sequence, self._retire(row, "length")))
        return finished

    def _fail_row(self, row: int) -> Finished:
        """Retire a row whose logits are not finite; nobody reuses its KV."""
        sequence, place = self.sequences[row], int(self._state["length"][row]) - 1
        assert sequence is not None
        self.index.version[row] = NO_VERSION
        self._retire(row, "abort")
        return sequence, EngineError(
            f"the model's logits at position {place} are not finite: its weights hold NaN, or overflow in their dtype"
        )

    def _end_prefills(self, rows: npt.NDArray[np.int64], position: npt.NDArray[np.int64]) -> None:
        """Prompts whose prefill is complete: those who waited for them may start."""
        if self._prefilling:
            for row in rows[position == self._state["prompt"][rows]].tolist():
                self._prefilling.pop(self._key(row), None)

    def _key(self, row: int) -> int:
        return int(self.index.prompt[row])

    def _sampled(self, row: int) -> npt.NDArray[np.int64]:
        return self.index.tokens[row, self._state["prompt"][row] : self._state["length"][row]]

    def _retire(self, row: int, finish: Finish) -> Completion:
        """Take the sequence out of its row, which keeps its KV, pinned if it belongs to a session."""
        sequence = self.sequences[row]
        assert sequence is not None
        start, stop = self._state["prompt"][row], self._state["length"][row]
        completion = self._completion(sequence, self._sampled(row), self._logprobs[:, row, start:stop], finish)
        if self._prefilling.get(sequence.key) is sequence:
            del self._prefilling[sequence.key]
        if self.index.version[row] == self.stats.version:
            self.index.pin[row] = sequence.session
        if sequence.streamed:
            self.report(sequence)
        sequence.end(finish)
        self.sequences[row], sequence.row = None, -1
        self.rows.free(row)
        return completion

    def _completion(
        self, sequence: Sequence, tokens: npt.NDArray[np.int64], logprobs: npt.NDArray[np.floating], finish: Finish
    ) -> Completion:
        return Completion(
            tokens=tokens.tolist(),
            logprobs=logprobs[0].tolist(),
            raw_logprobs=logprobs[1].tolist(),
            versions=sequence.versions(len(tokens)),
            finish=finish,
            cached=sequence.cached,
            prefilled=sequence.prefilled,
            seconds=time.perf_counter() - sequence.submitted,
        )

    def _move(self, source: int, target: int) -> None:
        """The active sequence in row `source` is in row `target` now."""
        sequence = self.sequences[source]
        assert sequence is not None
        self.sequences[target], self.sequences[source] = sequence, None
        sequence.row = target
        self._state[target] = self._state[source]
        self._stops[target] = self._stops[source]
        length = self._state["length"][source]
        self._logprobs[:, target, :length] = self._logprobs[:, source, :length]
        self.sampler.move(source, target)
