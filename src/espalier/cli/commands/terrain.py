"""`espalier terrain`: a map of a cloud, of a folder of scans with poses, and routes over it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from espalier.core.config import merged
from espalier.core.data import DataRoot
from espalier.core.errors import EspalierError, MissingExtraError, nearest
from espalier.core.recipe.layers import read_layers

CELL_M = 0.1
"""Side of a cell of a whole cloud's map."""
WORK = {
    "map": "CLOUD [key=value ...]: the map of a whole cloud, PCD, PLY, LAS, LAZ, NPY, NPZ or KITTI's BIN",
    "stream": "FOLDER [key=value ...]: the map of scans as they come, with poses (TUM, KITTI); also `--live`",
    "plan": "MAP | CLOUD [key=value ...]: a route over a map (.npz, .tif) or over the map of a cloud",
    "bench": "how long an update takes, beside an elevation map",
}


OPTIONS = {
    "map": ("out", "cell", "epsg", "origin", "nav2", "data_root"),
    "stream": ("out", "cell", "epsg", "origin", "nav2", "poses", "tiles", "live"),
    "plan": ("out", "cell", "epsg", "origin", "nav2", "start", "goal", "route", "data_root"),
    "bench": (),
}
"""The options of each subcommand."""
PLACED = (".tif", ".tiff", ".geojson")
"""Suffixes of files that `--epsg` and `--origin` are for."""


def add_terrain(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier terrain`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "\n".join(f"{name} {what}" for name, what in WORK.items())
    parser.add_argument("what", metavar="{" + ",".join(WORK) + "}")
    parser.add_argument(
        "words", nargs="*", metavar="FILE | key=value", help="see above; keys are settings, docs/robots"
    )
    parser.add_argument(
        "--out", type=Path, action="append", help=".tif, .npz, .png, .yaml (Nav2), .json (grid_map); may be repeated"
    )
    parser.add_argument("--cell", type=_cell, help="side of a cell, metres (default: 0.1; stream 0.2)")
    parser.add_argument("--epsg", type=int, help="coordinate system of the map's metres, for .tif and .geojson")
    parser.add_argument("--origin", type=_origin, help="latitude,longitude of the map's (0, 0), for .tif and .geojson")
    parser.add_argument("--nav2", choices=("trinary", "scale"), help="of a .yaml: classes, or graded costs (trinary)")
    parser.add_argument("--poses", type=Path, help="stream: file of poses, if it does not lie beside the scans")
    parser.add_argument("--tiles", type=Path, help="stream: folder that the map is kept in and goes on from")
    parser.add_argument("--live", action="store_true", help="stream: show the map while it is made (extra `viewer`)")
    parser.add_argument("--start", type=_place, help="plan: x,y, or x,y,yaw for method=hybrid; metres and radians")
    parser.add_argument("--goal", type=_place, help="plan: the same")
    parser.add_argument("--route", type=Path, action="append", help="plan: .csv or .geojson; may be repeated")
    parser.add_argument("--data-root", type=Path, help="folder of data sets (default: ESPALIER_DATA)")


def terrain(args: argparse.Namespace) -> int:
    """Do what the first word says."""
    if args.what not in WORK:
        raise EspalierError(f"espalier terrain cannot {args.what!r}{nearest(args.what, WORK)}")
    names, settings = _split(args.words)
    if len(names) != (0 if args.what == "bench" else 1) or (args.what == "bench" and settings):
        raise EspalierError(f"usage: espalier terrain {args.what} {WORK[args.what]}")
    _check_options(args)
    try:
        _check_outputs(args.out or ())
        match args.what:
            case "map":
                return _map(args, names[0], settings)
            case "stream":
                return _stream(args, Path(names[0]), settings)
            case "plan":
                return _plan(args, names[0], settings)
            case _:
                return _bench()
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "numba", "robots") from error


def _check_options(args: argparse.Namespace) -> None:
    """What would have no effect is refused."""
    given = {name for options in OPTIONS.values() for name in options if not _is_unset(getattr(args, name))}
    for name in sorted(given - set(OPTIONS[args.what])):
        users = " and ".join(user for user, options in OPTIONS.items() if name in options)
        raise EspalierError(f"espalier terrain {args.what} has no {_flag(name)}: it is of espalier terrain {users}")
    suffixes = {file.suffix.lower() for file in (*(args.out or ()), *(args.route or ()))}
    for name, of in (("epsg", PLACED), ("origin", PLACED), ("nav2", (".yaml",))):
        if name in given and not suffixes & set(of):
            raise EspalierError(f"{_flag(name)} is for files that end in {', '.join(of)}; none is to be written")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _is_unset(value: object) -> bool:
    return value is None or value is False


def _check_outputs(files: Sequence[Path]) -> None:
    """A wrong suffix is said before the work, not after it."""
    from espalier.robots.terrain.export.save import FORMATS

    for file in files:
        if file.suffix.lower() not in FORMATS:
            raise EspalierError(f"--out {file}: a map cannot be written as that{nearest(file.suffix, FORMATS)}")


def _place(text: str) -> tuple[float, ...]:
    parts = _numbers(text)
    if len(parts) not in (2, 3):
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y or x,y,yaw")
    return parts


def _origin(text: str) -> tuple[float, ...]:
    parts = _numbers(text)
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not latitude,longitude")
    return parts


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers with commas between") from None


def _cell(text: str) -> float:
    (side,) = _numbers(text) if "," not in text else (0.0,)
    if not 0.0 < side < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no length above 0")
    return side


def _split(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Names, and nested settings of `a.b=value`."""
    names = [word for word in words if "=" not in word or Path(word).exists()]
    return names, read_layers([], [word for word in words if word not in names]).data


def _map(args: argparse.Namespace, name: str, settings: dict[str, Any]) -> int:
    console = Console(highlight=False)
    return _finish(args, console, _built(args, console, name, settings))


def _built(args: argparse.Namespace, console: Console, name: str, settings: dict[str, Any]) -> Any:
    """The map of a whole cloud, with progress."""
    from espalier.robots.terrain.api import whole_config
    from espalier.robots.terrain.ground import find_cloud
    from espalier.robots.terrain.whole import build

    config = whole_config(args.cell or CELL_M, settings)
    cloud = find_cloud(name, DataRoot.find(args.data_root))
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("windows", total=1.0)
        ground = build(cloud, config, lambda share: progress.update(task, completed=share))
    dropped = ", ".join(f"{count:,} {why}" for why, count in ground.dropped.items() if count)
    mapped = len(cloud) - sum(ground.dropped.values()) + sum(cloud.dropped.values())
    console.print(f"{mapped:,} points" + (f"; left out: {dropped}" if dropped else ""))
    return ground


def _stream(args: argparse.Namespace, folder: Path, settings: dict[str, Any]) -> int:
    from espalier.robots.terrain import api
    from espalier.robots.terrain.stream import Tally, stream

    window = {"window": {"cell_m": args.cell}} if args.cell else {}
    mapper = api.TraversabilityMapper(api.MapperConfig.of(**merged(window, settings)), tiles=args.tiles)
    scans, tally, console = api.scans(folder, args.poses), Tally(), Console(highlight=False)
    try:
        with Progress(console=console, transient=True) as progress:
            for update in progress.track(stream(mapper, scans, live=args.live), total=len(scans), description="scans"):
                tally.add(update)
    finally:  # what has been seen is kept, whatever ends it
        if args.tiles is not None:
            mapper.save_tiles()
        console.print(str(tally), markup=False)
    return _finish(args, console, mapper.map())


def _plan(args: argparse.Namespace, name: str, settings: dict[str, Any]) -> int:
    from espalier.robots.terrain import api
    from espalier.robots.terrain.export.npz import is_map

    if args.start is None or args.goal is None:
        raise EspalierError("plan needs --start x,y and --goal x,y (metres; write --start=-1,2 for negative numbers)")
    config, console, file = api.PlanConfig.of(**settings), Console(highlight=False), Path(name)
    saved = file.is_file() and (file.suffix.lower() in (".tif", ".tiff") or is_map(file))
    if saved and args.cell is not None:
        raise EspalierError(f"--cell is for the map of a cloud; the cells of {file} are what they are")
    ground = api.load_map(file) if saved else _built(args, console, name, {})
    _warn(console, ground.warnings)
    route = api.plan(ground, args.start, args.goal, config)
    console.print(
        f"{route.length_m:.2f} m, mean cost {route.mean_cost:.3f}, {route.seconds:.1f} s to drive, "
        f"planned in {route.ms:.1f} ms"
    )
    for target in args.route or ():
        console.print(f"route: {route.save(target, origin=args.origin, epsg=args.epsg)}", markup=False)
    for target in args.out or ():
        is_picture = target.suffix.lower() == ".png"
        saved_as = _drawn(ground, route, target) if is_picture else _saved(args, ground, target)
        console.print(f"map: {saved_as}", markup=False)
    return 0


def _drawn(ground: Any, route: Any, file: Path) -> Path:
    """A picture of the map with the route on it."""
    from espalier.robots.terrain.export.png import save_picture

    save_picture(ground, file, route=route.points)
    return file


def _bench() -> int:
    from espalier.robots.terrain.compare.timing import PARTS, time_updates

    console = Console(highlight=False)
    for size, cell, found in time_updates():
        parts = ", ".join(f"{name} {found.parts[name]:.1f}" for name in PARTS)
        times = f"{found.ms:.1f} ms, p95 {found.p95:.1f} ({parts})"
        console.print(f"{size:g} m, cells of {cell:g} m: {times}; elevation map {found.elevation_ms:.1f}")
    return 0


def _finish(args: argparse.Namespace, console: Console, ground: Any) -> int:
    x0, y0, x1, y1 = ground.frame.bounds
    share = float(ground.observed.mean())
    console.print(
        f"{ground.frame.rows} x {ground.frame.cols} cells of {ground.frame.cell_m:g} m, x {x0:.1f} to {x1:.1f}, "
        f"y {y0:.1f} to {y1:.1f}; {100 * share:.1f}% observed"
    )
    _warn(console, ground.warnings)
    for file in args.out or ():
        console.print(f"map: {_saved(args, ground, file)}", markup=False)
    if not args.out:
        console.print("nothing was written: name a file with --out map.tif")
    return 0


def _warn(console: Console, warnings: Sequence[str]) -> None:
    """Why the map should not be believed."""
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)


def _saved(args: argparse.Namespace, ground: Any, file: Path) -> Path:
    """Written in its format; a GeoTIFF with the coordinates asked for, a Nav2 map in the mode asked for."""
    match file.suffix.lower():
        case ".tif" | ".tiff":
            settings = {"epsg": args.epsg, "origin_lat_lon": args.origin}
        case ".yaml":
            settings = {"mode": args.nav2}
        case _:
            settings = {}
    saved: Path = ground.save(file, **{name: value for name, value in settings.items() if value is not None})
    return saved
