"""What a report can show. Blocks are plain data: they name metrics, so that a report is rebuilt from the run folder.

Metric names may be patterns (`time/*`); a name that was never logged draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from espalier.core.errors import DataError
from espalier.core.io.files import write_atomic
from espalier.core.io.typed import read_typed

Number = float | int | None
"""A value in a report; None (and NaN, which becomes None) is a gap."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A horizontal line: a published figure, a target, a baseline."""

    label: str
    value: float


@dataclass(frozen=True, slots=True)
class Curves:
    """Metrics over steps.

    A confidence band is drawn where `<metric><lo>` and `<metric><hi>` are logged too, `band` being the two suffixes.
    `labels` renames metrics in the legend, `percent` shows 0.5 as 50%, `log` makes the vertical axis logarithmic and
    `wide` gives the block the whole width of the page.
    """

    title: str
    metrics: Sequence[str]
    labels: Mapping[str, str] = field(default_factory=dict)
    band: tuple[str, str] = ("_lo", "_hi")
    references: Sequence[Reference] = ()
    percent: bool = False
    log: bool = False
    wide: bool = False
    note: str = ""
    kind: Literal["curves"] = "curves"


@dataclass(frozen=True, slots=True)
class Shares:
    """How several metrics divide their sum over the steps, as stacked areas. Negative values count by magnitude."""

    title: str
    metrics: Sequence[str]
    labels: Mapping[str, str] = field(default_factory=dict)
    wide: bool = False
    note: str = ""
    kind: Literal["shares"] = "shares"


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went: each metric is in seconds and summed over the run."""

    title: str
    metrics: Sequence[str] = ("time/*",)
    labels: Mapping[str, str] = field(default_factory=dict)
    wide: bool = False
    note: str = ""
    kind: Literal["timing"] = "timing"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under column names. Numbers are aligned and rounded for reading."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Number]]
    wide: bool = False
    note: str = ""
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class Image:
    """A PNG, JPEG, GIF, WebP or SVG file. `path` is relative to the run folder; the file is embedded in the report."""

    title: str
    path: str
    wide: bool = False
    note: str = ""
    kind: Literal["image"] = "image"


@dataclass(frozen=True, slots=True)
class Text:
    """Paragraphs, separated by blank lines. `backticks` mark code; there is no other markup."""

    title: str
    text: str
    wide: bool = False
    note: str = ""
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Passage:
    """Part of a sample, spoken by `role`.

    `pieces` is the text token by token (or one piece, where tokens do not matter); each list of `values`, such as
    `advantage` or `logprob`, runs parallel to it.
    """

    role: str
    pieces: Sequence[str]
    values: Mapping[str, Sequence[Number]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One conversation: the prompt's passages and the model's. `facts` (reward, answer, ...) are shown beside it.

    Samples of different sets with the same `key` are the same problem; the browser keeps its place between them.
    `title` stands in the list; the last user message unless given.
    """

    key: str
    passages: Sequence[Passage]
    correct: bool | None = None
    facts: Mapping[str, str | Number] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True, slots=True)
class Samples:
    """A browser of samples.

    `sets` are its tabs (`before`, `after`); `colour` is the value that colours the tokens at first.
    """

    title: str
    sets: Mapping[str, Sequence[Sample]]
    colour: str = ""
    wide: bool = True
    note: str = ""
    kind: Literal["samples"] = "samples"


@dataclass(frozen=True, slots=True)
class Rollouts:
    """A browser of the answers that training sampled, by step, from a file that `report.rollouts` describes.

    `path` is relative to the run folder. The report holds the steps that fit into it, evenly spread over the run.
    """

    title: str
    path: str
    wide: bool = True
    note: str = ""
    kind: Literal["rollouts"] = "rollouts"


@dataclass(frozen=True, slots=True)
class Headline:
    """The result at the head of the page: what `metric` was at first and is now, and whether it rose or fell.

    Where the metric has a band, the change has an interval: see `report.change`.
    """

    title: str
    metric: str
    band: tuple[str, str] = ("_lo", "_hi")
    higher_is_better: bool = True
    percent: bool = True
    wide: bool = False
    note: str = ""
    kind: Literal["headline"] = "headline"


@dataclass(frozen=True, slots=True)
class Counted:
    """A warning that is counted as a metric: `title` stands in the box of warnings where it was above 0 at any step."""

    title: str
    metric: str
    wide: bool = False
    note: str = ""
    kind: Literal["counted"] = "counted"


Block = Curves | Shares | Timing | Table | Image | Text | Samples | Rollouts | Headline | Counted

_BLOCKS: TypeAdapter[list[Block]] = TypeAdapter(list[Annotated[Block, Field(discriminator="kind")]])


def save(blocks: Sequence[Block], path: Path) -> None:
    """Write `blocks` as JSON, atomically."""
    write_atomic(path, _BLOCKS.dump_json(list(blocks)))


def load(path: Path) -> list[Block]:
    """Read what `save` wrote. Raises DataError where the file is broken."""
    try:
        return read_typed(path, _BLOCKS)
    except DataError as error:
        raise DataError(f"{error}; delete the file, and make the report again") from None
