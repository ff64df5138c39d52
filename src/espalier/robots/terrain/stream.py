"""Scans as they come: a mapper fed from a folder, with a tally, and a live view if it is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from espalier.core.errors import MissingExtraError
from espalier.robots.terrain.cloud.cloud import Scan
from espalier.robots.terrain.mapper import MapUpdate, TraversabilityMapper


@dataclass
class Tally:
    """What became of scans and points. cleared: cells that later scans saw
    through. doubted: scans that a map can hardly be made of; doubt: why, of the last one."""

    verdicts: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    ms: list[float] = field(default_factory=list)
    cleared: int = 0
    doubted: int = 0
    doubt: str = ""

    def add(self, update: MapUpdate) -> None:
        """Count an update."""
        self.verdicts[update.verdict.value] += 1
        self.dropped.update(update.dropped)
        self.cleared += update.cleared
        if update.map.warnings and update.verdict.used:
            self.doubted, self.doubt = self.doubted + 1, update.map.warnings[0]
        if update.estimate is not None:
            self.ms.append(update.total_ms)

    def doubts(self) -> list[list[str | float | None]]:
        """Rows of a table: warnings, and of how many scans."""
        return [[f"warning, scans: {self.doubt}", self.doubted]] if self.doubted else []

    def __str__(self) -> str:
        scans = ", ".join(f"{number} {verdict}" for verdict, number in self.verdicts.items())
        points = ", ".join(f"{number:,} {why}" for why, number in self.dropped.items() if number) or "none"
        times = f"{np.median(self.ms):.1f} ms, p95 {np.quantile(self.ms, 0.95):.1f}" if self.ms else "-"
        doubt = f"\nwarning: {self.doubted} scans: {self.doubt}" if self.doubted else ""
        cleared = f"\ncells seen through, and forgotten: {self.cleared:,}" if self.cleared else ""
        return f"scans: {scans}\npoints left out: {points}{cleared}\nan update: {times}{doubt}"


def stream(mapper: TraversabilityMapper, scans: Iterable[Scan], *, live: bool = False) -> Iterator[MapUpdate]:
    """Feed all scans; those of a scan that were dropped when it was read are counted too."""
    show = _viewer() if live else None
    for scan in scans:
        update = mapper.add(scan)
        for why, number in scan.dropped.items():
            update.dropped[why] = update.dropped.get(why, 0) + number
        if show is not None:
            show(scan, update)
        yield update


def _viewer() -> Callable[[Scan, MapUpdate], None]:
    """A function that shows a scan and its update in rerun's viewer."""
    try:
        import rerun
    except ModuleNotFoundError as error:
        raise MissingExtraError("rerun-sdk", "viewer") from error
    from espalier.robots.terrain.cloud.frames import transform

    rerun.init("espalier terrain", spawn=True)

    def show(scan: Scan, update: MapUpdate) -> None:
        """The scan in the world, and the known cells from green, easy, to red."""
        rerun.set_time("stamp", timestamp=scan.stamp)
        rerun.log("scan", rerun.Points3D(transform(scan.points, scan.pose), radii=0.01))
        frame, ground = update.map.frame, update.map
        known = ground.observed.ravel()
        places = np.column_stack([frame.centres(), ground["elevation"].ravel()])[known]
        shade = np.clip(255 * ground["cost"].ravel()[known], 0, 255).astype(np.uint8)
        colours = np.stack([shade, 255 - shade, np.full_like(shade, 60)], axis=-1)
        rerun.log("map", rerun.Points3D(places, colors=colours, radii=0.5 * frame.cell_m))

    return show
