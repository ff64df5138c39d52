"""Draw the picture of README from a finished run folder: python docs/rl/draw_report.py RUN [OUT.svg].

It shows what the run's report.html shows: held-out accuracy with its interval, reward, length, entropy, and one problem
before and after, token by token. Everything is read from the run's own files.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from espalier.core.io.files import write_atomic
from espalier.core.io.text import read_object
from espalier.core.report.blocks import Passage, Sample, Samples, load
from espalier.core.run.folder import read_config
from espalier.core.tracking.metrics import Point, read_history

WIDTH, HEIGHT = 960, 560
INK, DIM, LINE, ACCENT, GOOD, BAD = "#1d211b", "#6c7468", "#e3e5dd", "#2c7a4b", "#23804a", "#c2452d"
POSITIVE, NEGATIVE = "#256ec8", "#de622a"
FONT = "font-family='system-ui, sans-serif'"
CHARACTER = 8.4
"""Pixels of a character of the monospaced text."""
RIGHT = 870
"""Where an answer that is too long is cut."""

Box = tuple[float, float, float, float]
"""Left, top, width, height."""


def text(x: float, y: float, words: str, size: float = 13, colour: str = INK, **attributes: str) -> str:
    """One line of text."""
    more = "".join(f" {name.replace('_', '-')}='{value}'" for name, value in attributes.items())
    font = "" if "font_family" in attributes else f" {FONT}"
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size:g}' fill='{colour}'{font}{more}>{escape(words)}</text>"


def card(box: Box, title: str) -> str:
    """A white panel with its title."""
    x, y, width, height = box
    frame = f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='8' fill='#fff' stroke='{LINE}'/>"
    return frame + text(x + 14, y + 24, title, 14, font_weight="600")


def curve(box: Box, title: str, points: Sequence[Point], *, percent: bool = False, **more: Sequence[Point]) -> str:
    """A panel with one metric over steps. `low` and `high` are the ends of its interval at the same steps."""
    x, y, width, height = box
    left, top, right, bottom = x + 52, y + 44, x + width - 18, y + height - 30
    low, high = more.get("low", points), more.get("high", points)
    least, most = (0.0, 1.0) if percent else (min(p.value for p in low), max(p.value for p in high))
    first, last = points[0].step, points[-1].step

    def place(step: int, value: float) -> str:
        across, up = (step - first) / max(last - first, 1), (value - least) / max(most - least, 1e-9)
        return f"{left + across * (right - left):.1f},{bottom - up * (bottom - top):.1f}"

    parts = [card(box, title)]
    for share in (0.0, 0.5, 1.0):
        value, at = least + share * (most - least), bottom - share * (bottom - top)
        parts.append(f"<line x1='{left}' x2='{right}' y1='{at:.1f}' y2='{at:.1f}' stroke='{LINE}'/>")
        label = f"{value:.0%}" if percent else f"{value:.3g}"
        parts.append(text(left - 6, at + 4, label, 11, DIM, text_anchor="end"))
    if "low" in more:
        outline = [place(p.step, p.value) for p in high] + [place(p.step, p.value) for p in reversed(low)]
        parts.append(f"<polygon points='{' '.join(outline)}' fill='{ACCENT}' fill-opacity='0.15'/>")
    line = " ".join(place(p.step, p.value) for p in points)
    parts.append(f"<polyline points='{line}' fill='none' stroke='{ACCENT}' stroke-width='2'/>")
    parts.append(text(left, bottom + 18, f"step {first}", 11, DIM))
    parts.append(text(right, bottom + 18, f"step {last}", 11, DIM, text_anchor="end"))
    return "".join(parts)


def answer(x: float, y: float, label: str, sample: Sample, colour: str) -> str:
    """One answer to the problem, its tokens tinted by the value that colours the report."""
    mark, tint = ("✓", GOOD) if sample.correct else ("✗", BAD)
    parts = [text(x, y, label, 13, DIM), text(x + 56, y, mark, 15, tint)]
    spoken = [passage for passage in sample.passages if passage.values]
    at = x + 80
    for piece, value in [pair for passage in spoken for pair in tinted(passage, colour)]:
        shown = piece.replace("\n", "⏎")
        if at > RIGHT:
            parts.append(text(at + 4, y, "…", 14, DIM))
            break
        width = CHARACTER * len(shown)
        shade = POSITIVE if value >= 0 else NEGATIVE
        opacity = min(abs(value), 1.0) * 0.45
        parts.append(f"<rect x='{at:.1f}' y='{y - 15}' width='{width:.1f}' height='21' fill='{shade}' ")
        parts.append(f"fill-opacity='{opacity:.2f}'/>")
        parts.append(
            f"<text x='{at:.1f}' y='{y}' font-size='14' font-family='monospace' fill='{INK}' "
            f"textLength='{width:.1f}' xml:space='preserve'>{escape(shown)}</text>"
        )
        at += width
    return "".join(parts)


def tinted(passage: Passage, colour: str) -> list[tuple[str, float]]:
    """Each token with its value, 0 where it has none."""
    values = passage.values.get(colour) or [None] * len(passage.pieces)
    return [(piece, float(value or 0.0)) for piece, value in zip(passage.pieces, values, strict=True)]


def problem(samples: Samples) -> tuple[str, Sample, Sample]:
    """The first problem that was answered wrongly before and rightly after, or else the first there is."""
    before, after = samples.sets["before"], {sample.key: sample for sample in samples.sets["after"]}
    pairs = [(sample, after[sample.key]) for sample in before if sample.key in after]
    old, new = next(((a, b) for a, b in pairs if not a.correct and b.correct), pairs[0])
    question = next(passage for passage in old.passages if passage.role == "prompt")
    pieces = [piece for piece in question.pieces if not piece.startswith("<|")]
    return old.title or "".join(pieces), old, new


def draw(run: Path) -> str:
    """The picture of `run` as SVG."""
    history = read_history(run / "metrics.jsonl")
    config, result = read_config(run), read_object(run / "result.json")
    samples = next(block for block in load(run / "report.json") if isinstance(block, Samples))
    question, old, new = problem(samples)
    before, after = result["accuracy_before"], result["accuracy_after"]
    accuracy = curve(
        (20, 62, 600, 340),
        "Held-out accuracy, with its 95% interval",
        history["eval/avg"],
        percent=True,
        low=history["eval/avg_lo"],
        high=history["eval/avg_hi"],
    )
    small = [("Reward", "reward/total"), ("Response length, tokens", "len/mean"), ("Entropy, nats a token", "entropy")]
    panels = [curve((636, 62 + 116 * i, 304, 108), title, history[name]) for i, (title, name) in enumerate(small)]
    return "".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>",
            f"<title>Report of a run: held-out accuracy from {before:.1%} to {after:.1%}</title>",
            f"<rect width='{WIDTH}' height='{HEIGHT}' rx='12' fill='#f6f6f1'/>",
            text(20, 38, str(config.get("name", run.parent.name)), 20, font_weight="600"),
            text(940, 38, f"{before:.1%} → {after:.1%}", 20, ACCENT, font_weight="600", text_anchor="end"),
            accuracy,
            *panels,
            card((20, 418, 920, 122), f"One held-out problem: {question}"),
            answer(34, 478, "before", old, samples.colour),
            answer(34, 514, "after", new, samples.colour),
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    source = Path(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("docs/rl/report.svg")
    write_atomic(target, draw(source))
    print(target)
