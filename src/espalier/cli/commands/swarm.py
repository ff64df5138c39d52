"""`espalier swarm`: show flights, make formations, time plans."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from espalier.cli.options import settle
from espalier.cli.places import find_run
from espalier.core.errors import EspalierError, MissingExtraError, nearest

WORK = {
    "bench": "how long a plan takes for 30, 120 and 300 vehicles, and what is done beside it",
    "render": "RUN | FLIGHT.npz --out FILE: a flight as .gif, .mp4, .png, .csv, .rrd (rerun) or .npz",
    "formation": "SHAPE --out FILE: slots as .csv, .json, .npy or .png; a name, text:WORDS, image:FILE or mesh:FILE",
}
VIEWS = ("auto", "top", "front", "side", "3d")
TAKES = {
    "out": ("render", "formation"),
    **dict.fromkeys(("view", "every", "at", "whole"), ("render",)),
    **dict.fromkeys(("n", "spacing", "style"), ("formation",)),
}
"""The subcommands of each option."""


def add_swarm(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier swarm`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "\n".join(f"{name} {what}" for name, what in WORK.items())
    parser.add_argument("what", metavar="{" + ",".join(WORK) + "}")
    parser.add_argument("words", nargs="*", metavar="RUN | SHAPE", help="see above")
    parser.add_argument("--out", type=Path, action="append", help="render, formation: a file; may be repeated")
    parser.add_argument("--view", choices=VIEWS, help="render: from where (default: front or top)")
    parser.add_argument("--every", type=_number, help="render: between two pictures (default: 0.2), or rows (all)")
    parser.add_argument("--at", type=_number, help="render: time of a .png (default: the last)")
    parser.add_argument("--whole", action="store_true", help="render: the whole way that was flown until then")
    parser.add_argument("--n", type=int, help="formation: vehicles (default: 37)")
    parser.add_argument("--spacing", type=_number, help="formation: metres between neighbours (default: 2)")
    parser.add_argument("--style", choices=("stroke", "outline", "fill"), help="formation: of a text or an image")


def swarm(args: argparse.Namespace) -> int:
    """Do what the first word says."""
    if args.what not in WORK:
        raise EspalierError(f"espalier swarm cannot {args.what!r}{nearest(args.what, WORK)}")
    settle(args, "espalier swarm", TAKES, n=37, spacing=2.0)
    shows = args.what != "bench"
    if len(args.words) != shows or bool(args.out) != shows:
        raise EspalierError(f"usage: espalier swarm {args.what} {WORK[args.what]}")
    try:
        match args.what:
            case "render":
                return _render(args)
            case "formation":
                return _formation(args)
            case _:
                return _bench()
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "numba", "robots") from error


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 or more")
    return value


def _bench() -> int:
    from espalier.robots.swarm.compare.timing import time_plans

    console = Console(highlight=False)
    for found in time_plans():
        console.print(
            f"{found.n} vehicles: a plan {found.ms:.1f} ms, p95 {found.p95:.1f}; a registration alone "
            f"{found.register_ms:.1f}, a safety check {found.look_ms:.2f}, reading a message of each other vehicle "
            f"{found.read_ms:.1f} ({found.plans:,} plans)",
            soft_wrap=True,
        )
    return 0


def _render(args: argparse.Namespace) -> int:
    from espalier.robots.swarm.fleet.recording import Recording
    from espalier.robots.swarm.show.save import Look, check_uses, save_flight

    look = Look(view=args.view or "auto", every_s=args.every, at_s=args.at, whole=args.whole)
    check_uses(args.out, look)
    recording = Recording.load(_flight(args.words[0]))
    times, n = recording.times, recording.positions.shape[1]
    console = Console(highlight=False)
    console.print(f"{n} vehicles, {times[-1] - times[0]:.1f} s, {int(recording.struck.any(0).sum())} failed")
    for file in args.out:
        console.print(f"flight: {save_flight(recording, file, look)}", markup=False, soft_wrap=True)
    return 0


def _flight(word: str) -> Path:
    """The file of that name, or that of a run."""
    if Path(word).is_file():
        return Path(word)
    if word.lower().endswith(".npz"):
        raise EspalierError(f"there is no file {word}")
    run = find_run(word)
    file = run / "artefacts" / "flight.npz"
    if not file.is_file():
        raise EspalierError(f"{run} has no artefacts/flight.npz: it is no finished run of the job robots.flight")
    return file


def _formation(args: argparse.Namespace) -> int:
    from espalier.robots.swarm.formation.make import make_formation
    from espalier.robots.swarm.formation.words import shape_of
    from espalier.robots.swarm.show.slots import checked_suffix, measures, save_slots

    for file in args.out:
        checked_suffix(file)
    if not args.spacing:
        raise EspalierError("--spacing 0: neighbours are some way apart")
    slots = make_formation(shape_of(args.words[0], args.style), args.n, args.spacing)
    (x, y, z), least = measures(slots)
    console = Console(highlight=False)
    console.print(f"{len(slots)} slots, {x:.2f} x {y:.2f} x {z:.2f} m, the two nearest {least:.2f} m apart")
    for file in args.out:
        console.print(f"formation: {save_slots(slots, file)}", markup=False, soft_wrap=True)
    return 0
