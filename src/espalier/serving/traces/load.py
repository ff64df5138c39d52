"""Trace files. The format is told by the header, or by the keys of the first record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from espalier.core.errors import DataError
from espalier.core.seed import derive
from espalier.serving.records import Record, finite, is_json, read_records, whole
from espalier.serving.traces.trace import BLOCK, Row, Trace


def load_trace(file: Path) -> Trace:
    """Traces of Azure, BurstGPT and Vidur (CSV), of Mooncake and our own (JSON lines); either way will do for each.

    Fields go by name, in any order, and further ones are ignored. Our own: `prompt_tokens`, `output_tokens`, and
    optionally `arrival_s`, `prefix_hashes`, `session` and `priority`. Prompts of a `session` are taken to begin with
    what it said before, as in a chat: where a request has no hashes, they are made of that. Requests out of order are
    sorted by time, those of the same time stay in order; all have a time, or none. A time without a zone is UTC. Raises
    DataError by file and line.
    """
    trace = Trace.of_rows(file.stem, _rows(file, read_records(file)))
    if not len(trace):
        raise DataError(f"{file} holds no requests")
    return trace


def _rows(file: Path, records: Iterable[tuple[int, Record]]) -> Iterator[Row]:
    read: Callable[[Record], Row] | None = None
    timed: bool | None = None
    for line, record in records:
        read = read or _format(record, f"{file}:{line if is_json(file) else 1}")
        try:
            row = read(record)
        except KeyError as error:
            raise DataError(f"{file}:{line}: there is no {error.args[0]!r}") from None
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise DataError(f"{file}:{line}: {error}") from None
        timed = row.arrival is not None if timed is None else timed
        if timed != (row.arrival is not None):
            this, others = ("no", "one") if timed else ("a", "none")
            raise DataError(f"{file}:{line}: {this} time, where requests before have {others}; give all one, or none")
        yield row


def _format(record: Record, where: str) -> Callable[[Record], Row]:
    """The format with all its fields here; an error names what the nearest one misses."""
    for keys, read in _FORMATS.items():
        if keys <= record.keys():
            return read
    near = max(_FORMATS, key=lambda keys: len(keys & record.keys()))
    if near & record.keys():
        missing = ", ".join(sorted(near - record.keys()))
        raise DataError(f"{where}: there is no {missing}; such a trace has {', '.join(sorted(near))}")
    known = "; ".join(", ".join(sorted(keys)) for keys in _FORMATS)
    raise DataError(f"{where} has the fields {', '.join(map(str, record))}; a trace has one of: {known}")


def _azure(record: Record) -> Row:
    try:
        moment = datetime.fromisoformat(str(record["TIMESTAMP"]))
    except ValueError:
        raise ValueError(f"TIMESTAMP is {record['TIMESTAMP']!r}, no date and time (2023-11-16 18:15:46.68)") from None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return Row(*_tokens(record, "ContextTokens", "GeneratedTokens"), seconds)


def _burstgpt(record: Record) -> Row:
    return Row(*_tokens(record, "Request tokens", "Response tokens"), finite(record["Timestamp"], "Timestamp"))


def _vidur(record: Record) -> Row:
    return Row(*_tokens(record, "num_prefill_tokens", "num_decode_tokens"), _moment(record, "arrived_at"))


def _mooncake(record: Record) -> Row:
    prompt, output = _tokens(record, "input_length", "output_length")
    return Row(prompt, output, finite(record["timestamp"], "timestamp") / 1000, _hashes(record, "hash_ids"))


def _native(record: Record) -> Row:
    blocks, priority = _hashes(record, "prefix_hashes"), record.get("priority")
    prompt, output = _tokens(record, "prompt_tokens", "output_tokens")
    moment = _moment(record, "arrival_s")
    row = Row(prompt, output, moment, blocks, 0 if priority is None else whole(priority, "priority"))
    session = record.get("session")
    return row if session is None or blocks else replace(row, blocks=_of_session(session, prompt))


def _tokens(record: Record, prompt: str, output: str) -> tuple[int, int]:
    return whole(record[prompt], prompt), whole(record[output], output)


def _moment(record: Record, key: str) -> float | None:
    """A time that may be missing."""
    return None if record.get(key) is None else finite(record[key], key)


def _hashes(record: Record, key: str) -> tuple[int, ...]:
    """Prefix hashes; a request may have none."""
    hashes = record.get(key)
    if not isinstance(hashes, list | None):
        raise ValueError(f"{key} is {hashes!r:.40}, no list")
    return tuple(whole(one, key) for one in hashes or ())


def _of_session(session: object, prompt: int) -> tuple[int, ...]:
    """Hashes of the whole blocks of a prompt that begins with whatever its session has said before."""
    if not isinstance(session, str | int) or isinstance(session, bool):
        raise ValueError(f"session is {session!r}, neither text nor a whole number")
    return tuple(derive(0, "session", session, block) for block in range(prompt // BLOCK))


_FORMATS: dict[frozenset[str], Callable[[Record], Row]] = {
    frozenset({"TIMESTAMP", "ContextTokens", "GeneratedTokens"}): _azure,
    frozenset({"Timestamp", "Request tokens", "Response tokens"}): _burstgpt,
    frozenset({"num_prefill_tokens", "num_decode_tokens"}): _vidur,
    frozenset({"timestamp", "input_length", "output_length"}): _mooncake,
    frozenset({"prompt_tokens", "output_tokens"}): _native,
}
